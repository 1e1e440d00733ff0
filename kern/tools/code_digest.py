"""The digest of a function's code: equal in two processes only if both decide the same.

It covers the instructions, defaults and closures, and the globals that the code names, functions
and classes among them. What the program does not define itself (the standard library, installed
packages) counts by its name, and an object that is no plain value counts by its type. Another minor
version of Python compiles other instructions, so there the digest differs: whoever compares digests
has to treat a difference as "maybe other code", and never as an error.
"""

import dataclasses
import functools
import sys
import sysconfig
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from pydantic import BaseModel, JsonValue

from kern.values.canonical import clean_text, digest

_PLAIN = (bool, int, float, str, bytes, complex, type(None), type(...))
_INSTALLED = tuple(
    sysconfig.get_paths()[place] for place in ("stdlib", "platstdlib", "purelib", "platlib")
)
_MOST_OBJECTS = 5000


def code_digest(code: object) -> str:
    """Return the digest of a callable."""
    return digest([list(sys.version_info[:2]), _Description().of(code)])


class _Description:
    """Describes a callable as JSON; each function, class or object that it meets, once."""

    def __init__(self) -> None:
        # The objects themselves, so that none is freed and its id used again.
        self._met: dict[int, object] = {}

    def of(self, value: object) -> JsonValue:
        """Return the description of a value."""
        if isinstance(value, _PLAIN):
            return clean_text(f"{type(value).__name__} {value!r}")
        if id(value) in self._met or len(self._met) > _MOST_OBJECTS:
            return ["again", type(value).__qualname__]
        self._met[id(value)] = value
        return self._of_object(value)

    # A case for each kind.
    def _of_object(self, value: object) -> JsonValue:  # noqa: C901, PLR0911
        match value:
            case FunctionType():
                return self._function(value)
            case CodeType():
                return self._code(value)
            case MethodType():
                return ["method", self.of(value.__func__), self._attributes(value.__self__)]
            case functools.partial():
                parts = (value.func, value.args, value.keywords)
                return ["partial", *(self.of(part) for part in parts)]
            case ModuleType():
                return ["module", value.__name__]
            case BuiltinFunctionType():
                return ["builtin", str(value.__module__), value.__qualname__]
            case type():
                return self._class(value)
            case Mapping():
                entries = [[self.of(key), self.of(item)] for key, item in value.items()]
                return ["mapping", *sorted(entries, key=repr)]
            case AbstractSet():
                return ["set", *sorted((self.of(item) for item in value), key=repr)]
            case list() | tuple():
                return [type(value).__name__, *(self.of(item) for item in value)]
            case _ if callable(value) or _is_value(value):
                return self._attributes(value)
            case _:
                return self.of(type(value))

    def _function(self, function: FunctionType) -> JsonValue:
        if not _is_own(function.__module__, function.__code__.co_filename):
            return ["function", str(function.__module__), function.__qualname__]
        used = sorted(_names(function.__code__) & function.__globals__.keys())
        return [
            "function",
            self.of(function.__code__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            [self.of(_content(cell)) for cell in function.__closure__ or ()],
            [[name, self.of(function.__globals__[name])] for name in used],
        ]

    def _code(self, code: CodeType) -> JsonValue:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        constants = [self.of(item) for item in code.co_consts]
        return [code.co_code.hex(), code.co_flags, constants, [list(group) for group in names]]

    def _class(self, value: type) -> JsonValue:
        name: list[JsonValue] = ["class", value.__module__, value.__qualname__]
        module = sys.modules.get(value.__module__)
        if not _is_own(value.__module__, getattr(module, "__file__", None) or ""):
            return name
        members = {
            key: getattr(member, "fget", None) or getattr(member, "__func__", member)
            for key, member in vars(value).items()
            if not key.startswith("__") or isinstance(member, FunctionType)
        }
        bases = [self.of(base) for base in value.__bases__]
        return [*name, bases, [[key, self.of(members[key])] for key in sorted(members)]]

    def _attributes(self, value: object) -> JsonValue:
        attributes = getattr(value, "__dict__", None)
        fields = dict(attributes) if isinstance(attributes, Mapping) else None
        return ["object", self.of(type(value)), self.of(fields)]


def _is_own(module: str | None, filename: str) -> bool:
    """Whether the program itself defines what lies there, and no package that it uses."""
    is_kern = module is not None and module.partition(".")[0] == "kern"
    return not is_kern and not filename.startswith((*_INSTALLED, "<frozen"))


def _is_value(value: object) -> bool:
    return dataclasses.is_dataclass(value) or isinstance(value, BaseModel | Enum)


def _names(code: CodeType) -> set[str]:
    """Return the names that code, and the code inside it, looks up."""
    inner = (item for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*(_names(item) for item in inner))


def _content(cell: object) -> object:
    try:
        return getattr(cell, "cell_contents", None)
    except ValueError:
        return None
