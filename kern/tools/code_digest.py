"""The digest of a function's code: equal in two processes only if both decide the same.

It covers the instructions, defaults and closures, and whatever the code names: functions, classes,
constants and objects by what they hold, modules by their files. Code that looks up by any name may
reach whatever its module has, so all of that counts. Installed packages count by the file of the
module, the standard library by name, and what lives in a process (locks, loggers, sockets, files)
by its type. Where something cannot be read, or there is too much of it, the digest holds a random
value of this process (`DOUBT`). Another minor version of Python compiles other instructions, so
there the digest differs: whoever compares digests has to treat a difference as "maybe other code",
and never as an error.

The objects form a graph with cycles, and sets in it have no order. So each object has a label of
its own, and takes in the labels of its neighbors until that separates no more objects. Where the
walk began, and in which order it went, leaves no trace.
"""

import functools
import hashlib
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import ForwardRef

from kern.process.foreign_errors import guarded
from kern.tools.code_classes import MADE_NAMES, annotation_parts, model_parts
from kern.tools.code_files import (
    Origin,
    file_digest,
    file_of,
    import_digest,
    module_digest,
    origin,
)
from kern.tools.code_kinds import BUILTIN_MEMBERS, BY_REPR, PLAIN
from kern.tools.code_names import (
    added_builtins,
    content_of,
    imports_of,
    is_importer,
    lookups,
    names_of,
    set_on,
)
from kern.tools.code_state import DOUBT, attributes, has_reducer, held, holds_live, is_live, reduced
from kern.tools.plain_data import plain_digest

_METHODS = (FunctionType, staticmethod, classmethod, property, MethodType, BuiltinFunctionType)
# What the import system sets: it says where a module lies, and not what the module does.
_IMPORT_NAMES = {
    *("__name__", "__file__", "__path__", "__package__", "__spec__", "__loader__"),
    *("__cached__", "__builtins__", "__doc__"),
}
_ADDRESS = " at 0x"
_MOST_OBJECTS = 20_000
# A chain of like objects needs a round for each; every label counts after the first.
_MOST_ROUNDS = 32


def code_digest(code: object) -> str:
    """Return the digest of a callable."""
    graph = _Graph(_package(code))
    root = graph.add(code)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return _hash(f"{version} {graph.colors(root)}")


@dataclass(frozen=True)
class _Node:
    """An object in the graph."""

    index: int


@dataclass(frozen=True)
class _Unordered:
    """Parts whose order means nothing."""

    parts: "list[_Part]"


_Part = str | _Node | _Unordered | list["_Part"]


class _Graph:
    """The objects that a callable reaches, each with a label that refers to its neighbors."""

    def __init__(self, package: str) -> None:
        self._package = package
        # The objects themselves, so that none is freed and its id used again.
        self._objects: list[object] = []
        self._indexes: dict[int, int] = {}

    def add(self, value: object) -> _Part:
        """Return what stands for a value: its text, or its node."""
        if type(value) in PLAIN:
            return f"{type(value).__name__} {value!r}"
        if id(value) in self._indexes:
            return _Node(self._indexes[id(value)])
        if (digest := plain_digest(value)) is not None:
            return f"plain {digest}"
        if len(self._objects) >= _MOST_OBJECTS:
            return f"beyond {DOUBT}"
        self._indexes[id(value)] = len(self._objects)
        self._objects.append(value)
        return _Node(len(self._objects) - 1)

    def colors(self, root: _Part) -> str:
        """Describe all objects, refine their colors until no more differ, and join those."""
        labels: list[_Part] = []
        while len(labels) < len(self._objects):
            labels.append(self._label(self._objects[len(labels)]))
        colors, kinds = ["" for _ in labels], 0
        for _ in range(_MOST_ROUNDS):
            colors = [_hash(_text(label, colors)) for label in labels]
            if len(set(colors)) <= kinds:
                break
            kinds = len(set(colors))
        return " ".join([_text(root, colors), *sorted(colors)])

    # A case for each kind.
    def _label(self, value: object) -> _Part:  # noqa: C901, PLR0911, PLR0912
        match value:
            case _ if is_importer(value):
                # Something else than its name leads to it, so nobody sees what it imports.
                return ["importer", DOUBT]
            case FunctionType():
                return self._function(value)
            case CodeType():
                return self._code(value)
            case MethodType():
                return ["method", self.add(value.__func__), self.add(value.__self__)]
            case ModuleType():
                return ["module", module_digest(value)]
            case BuiltinFunctionType() | MethodWrapperType():
                return self._builtin(value)
            case _ if isinstance(value, BUILTIN_MEMBERS):
                return ["member", value.__objclass__.__qualname__, value.__name__]
            case type():
                return self._class(value)
            case staticmethod() | classmethod():
                return [type(value).__name__, self.add(value.__func__)]
            case property():
                return ["property", self.add(value.fget)]
            case functools.cached_property():
                return ["property", self.add(value.func)]
            case functools.partial():
                parts = [self.add(item) for item in (value.func, value.args, value.keywords)]
                return ["partial", *parts, self._fields(vars(value))]
            case re.Pattern():
                return ["pattern", self.add(value.pattern), str(value.flags)]
            case MappingProxyType():
                return self._mapping(dict(value))
            case dict() | set() | frozenset() | list() | tuple():
                return [self._content(value), *self._object(value, is_container=True)]
            case _ if isinstance(value, BY_REPR):
                return self._by_repr(value)
            case ForwardRef():
                return ["forward", value.__forward_arg__]
            case _ if type(value).__module__ in {"typing", "types"} and hasattr(value, "__args__"):
                kind = type(value).__qualname__
                return ["annotation", kind, *map(self.add, annotation_parts(value))]
            case _ if (held_parts := held(value)) is not None:
                return ["holds", type(value).__qualname__, *map(self.add, held_parts)]
            case _:
                return self._object(value)

    def _function(self, function: FunctionType) -> _Part:
        module, filename = str(function.__module__), function.__code__.co_filename
        source = self._origin(module, filename)
        if source is not Origin.program:
            return [*self._installed(function, module, filename), *self._wrapped(function)]
        names = names_of(function.__code__)
        space = function.__globals__
        # What imports by name counts by what it imports.
        used = [
            name
            for name in sorted(names & space.keys())
            if name not in _IMPORT_NAMES and not is_importer(space[name])
        ]
        cells = [content_of(cell) for cell in function.__closure__ or ()]
        cells = [cell for cell in cells if not is_importer(cell)]
        imported, has_others = imports_of(function)
        modules = [
            item
            for item in (*(space[name] for name in used), *cells)
            if isinstance(item, ModuleType)
        ]
        return [
            "function",
            self.add(function.__code__),
            self.add(function.__defaults__),
            self.add(function.__kwdefaults__),
            [self.add(cell) for cell in cells],
            [[name, self.add(space[name])] for name in used],
            self._fields(vars(function)),
            self._used_of(modules, names),
            [import_digest(name) for name in imported],
            DOUBT if has_others else "",
            [[name, self.add(value)] for name, value in added_builtins(names - space.keys())],
            self.add(guarded(lambda: function.__annotations__, None)),
            self._looked_up(function, names, modules),
        ]

    def _looked_up(
        self, function: FunctionType, names: set[str], modules: Iterable[object]
    ) -> _Part:
        """Return whatever a look-up by name may reach: all values of modules, and their file.

        Kern's own objects, such as agents, change with their use and have no rules of the program.
        """
        own, named = lookups(function, names)
        spaces = [
            *([function.__globals__] if own else []),
            *((vars(item) for item in self._reachable(modules)) if own or named else []),
        ]
        values: list[_Part] = [
            [name, self.add(value)]
            for space in spaces
            for name, value in [*space.items()]
            if name not in _IMPORT_NAMES and type(value).__module__.partition(".")[0] != "kern"
        ]
        return [file_digest(function.__code__.co_filename) if own else "", _Unordered(values)]

    def _reachable(self, modules: Iterable[object]) -> list[ModuleType]:
        """Return the modules of the program among some."""
        return [
            item
            for item in modules
            if isinstance(item, ModuleType)
            and self._origin(item.__name__, getattr(item, "__file__", None) or "") is Origin.program
        ]

    def _wrapped(self, function: FunctionType) -> list[_Part]:
        """Return what a decorator of an installed package or of Python's has wrapped."""
        if isinstance(registry := vars(function).get("registry"), MappingProxyType):
            return ["dispatch", self._mapping(dict(registry))]
        cells = [content_of(cell) for cell in function.__closure__ or ()]
        return [
            self._fields(vars(function)),
            [self.add(cell) for cell in cells],
            self.add(function.__defaults__),
            self.add(function.__kwdefaults__),
        ]

    def _used_of(self, modules: Iterable[object], names: set[str]) -> _Part:
        """Return what code that names these modules may take from them, by its names."""
        modules = [*modules]
        values: list[_Part] = [
            [module.__name__, name, self.add(value)]
            for module in modules
            if isinstance(module, ModuleType) and not self._reachable([module])
            for name, value in set_on(module, names - _IMPORT_NAMES, self._is_own)
        ]
        pending, visited = self._reachable(modules), set[int]()
        while pending:
            module = pending.pop()
            if id(module) in visited:
                continue
            visited.add(id(module))
            space = vars(module)
            used = [name for name in sorted(names & space.keys()) if name not in _IMPORT_NAMES]
            values += [[name, self.add(space[name])] for name in used]
            pending += self._reachable(space[name] for name in used)
        return _Unordered(values)

    def _code(self, code: CodeType) -> _Part:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        constants = [self.add(item) for item in code.co_consts]
        instructions = (code.co_code.hex(), code.co_exceptiontable.hex(), str(code.co_flags))
        return ["code", *instructions, constants, *(repr(group) for group in names)]

    def _builtin(self, value: BuiltinFunctionType | MethodWrapperType) -> _Part:
        owner = value.__self__
        name = [str(getattr(value, "__module__", "")), value.__qualname__]
        return ["builtin", *name, *([] if isinstance(owner, ModuleType) else [self.add(owner)])]

    def _class(self, value: type) -> _Part:
        place = file_of(value.__module__)
        if self._origin(value.__module__, place) is not Origin.program:
            return self._installed(value, value.__module__, place)
        members = {
            name: member
            for name, member in vars(value).items()
            if name not in MADE_NAMES and not name.startswith("__pydantic_")
        }
        if _ADDRESS in str(members.get("__doc__")):
            # A dataclass describes itself by its defaults.
            del members["__doc__"]
        bases = [self.add(kind) for kind in (type(value), *value.__bases__)]
        annotations = self.add(guarded(lambda: value.__annotations__, None))
        parts = [self._fields(members), annotations, self.add(model_parts(vars(value)))]
        return ["class", value.__qualname__, bases, *parts]

    def _by_repr(self, value: object) -> _Part:
        text = str(next(kind for kind in BY_REPR if isinstance(value, kind)).__repr__(value))
        kind = type(value)
        if self._origin(kind.__module__, file_of(kind.__module__)) is Origin.program:
            return ["known", text, *self._object(value)]
        return ["known", text, kind.__qualname__]

    def _object(self, value: object, *, is_container: bool = False) -> list[_Part]:
        kind = type(value)
        label: list[_Part] = ["object", self.add(kind)]
        is_program = self._origin(kind.__module__, file_of(kind.__module__)) is Origin.program
        if is_container and kind.__module__ == "builtins":
            return label
        if not is_program and not is_container and is_live(value):
            return label
        fields = attributes(value)
        if not is_program and holds_live(value):
            # A client or pool: of what it holds, only code is the same in every process.
            fields = {name: item for name, item in fields.items() if isinstance(item, _METHODS)}
            return [*label, self._fields(fields)]
        plain = [base.__repr__(value) for base in PLAIN if isinstance(value, base)]
        label += [self._fields(fields), *plain]
        if is_container:
            return [*label, self.add(getattr(value, "default_factory", None))]
        # What Python classes hold lies in their attributes; C classes only pickle it.
        is_python = bool(fields) or isinstance(kind.__reduce__, FunctionType)
        state = () if is_python and not has_reducer(kind) else reduced(value)
        if state is None and not fields and not plain:
            return [*label, DOUBT]
        return [*label, [self.add(item) for item in state or () if item is not value]]

    def _content(self, value: object) -> _Part:
        match value:
            case OrderedDict():
                return ["ordered", *(self.add(part) for item in value.items() for part in item)]
            case dict():
                return self._mapping(dict(value))
            case set() | frozenset():
                return _Unordered([self.add(item) for item in [*value]])
            case list() | tuple():
                return ["items", *(self.add(item) for item in [*value])]
            case _:
                return []

    def _mapping(self, value: dict[object, object]) -> _Part:
        return _Unordered([[self.add(key), self.add(item)] for key, item in value.items()])

    def _fields(self, fields: Mapping[str, object]) -> _Part:
        return [[repr(name), self.add(fields[name])] for name in sorted(fields, key=str)]

    def _installed(self, value: FunctionType | type, module: str, filename: str) -> list[_Part]:
        label: list[_Part] = ["installed", module, value.__qualname__]
        is_package = self._origin(module, filename) is Origin.package
        return [*label, file_digest(filename)] if is_package else label

    def _is_own(self, value: object) -> bool:
        """Whether a value is a function or class of the program."""
        if not isinstance(value, FunctionType | type):
            return False
        return self._origin(value.__module__, file_of(value.__module__)) is Origin.program

    def _origin(self, module: str, filename: str) -> Origin:
        """Return who defines a module; the package of the callable itself counts as the program."""
        source = origin(module, filename)
        is_same = bool(self._package) and module.partition(".")[0] == self._package
        return Origin.program if source is Origin.package and is_same else source


def _package(code: object) -> str:
    """Return the name of the package that a callable comes from, unless that is Kern."""
    while isinstance(code, MethodType | functools.partial):
        code = code.__func__ if isinstance(code, MethodType) else code.func
    owner = code if isinstance(code, FunctionType | type) else type(code)
    package = str(owner.__module__).partition(".")[0]
    return "" if package == "kern" else package


def _text(part: _Part, colors: list[str]) -> str:
    match part:
        case str():
            # The length, so that no text reads like two.
            return f"{len(part)}:{part}"
        case _Node():
            return f"#{colors[part.index]}"
        case _Unordered():
            return "{" + ",".join(sorted(_text(item, colors) for item in part.parts)) + "}"
        case list():
            return "[" + ",".join(_text(item, colors) for item in part) + "]"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
