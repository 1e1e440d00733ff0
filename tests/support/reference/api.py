"""The page of the Python API: the modules of `tests/public_api.txt`, with their signatures."""

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from types import ModuleType

from tests.support.reference.markdown import docstring, one_line, summary, table
from tests.test_public_api import listed_modules, members, names_in, our_bases

_WIDTH = 96
_INTRODUCTION = """\
# Python API

What you may import. Every other module is private and may change in any release. A method that
talks to runs has an async twin whose name begins with `a` (`run` and `arun`); the page lists the
first of the two.
"""
_TWINS = ("acancel", "acontinue", "adelete", "afork", "aget", "arun", "aset", "astream", "aupdate")


def page() -> str:
    """Return the page."""
    modules = [importlib.import_module(name) for name in sorted(listed_modules())]
    contents = "".join(
        f"- [`{module.__name__}`](#{module.__name__.replace('.', '')}): {summary(module)}\n"
        for module in modules
    )
    described: dict[object, str] = {}
    sections = "".join(_module(module, described) for module in modules)
    return f"{_INTRODUCTION}\n{contents}{sections}"


def _module(module: ModuleType, described: dict[object, str]) -> str:
    if module.__name__ == "kern.errors":
        return "\n## `kern.errors`\n\nThe page [Errors](errors.md) lists them.\n"
    parts = [f"\n## `{module.__name__}`\n\n{summary(module)}\n"]
    for name in names_in(module):
        value = getattr(module, name)
        if inspect.isclass(value) and value in described:
            parts.append(f"\n### `{name}`\n\nThe same as in {described[value]}.\n")
        elif not inspect.isclass(value) and not inspect.isroutine(value):
            parts.append(_constant(module, name))
        elif inspect.isclass(value):
            described[value] = f"`{module.__name__}`"
            parts.append("".join(_class(name, value, described)))
        else:
            parts.append(f"\n### `{name}`\n\n{_code(_signature(name, value))}\n{_text(value)}")
    return "".join(parts)


def _constant(module: ModuleType, name: str) -> str:
    for statement in ast.parse(inspect.getsource(module)).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return f"\n### `{name}`\n\n{_code(ast.unparse(statement))}"
    return f"\n### `{name}`\n"


def _class(name: str, value: type, described: dict[object, str]) -> Iterator[str]:
    yield f"\n### `{name}`\n"
    if issubclass(value, Enum):
        yield f"\n{_text(value)}\n{', '.join(f'`{item}`' for item in value.__members__)}\n"
        return
    constructor = _constructor(value)
    if constructor is not None:
        yield f"\n{_code(_signature(name, constructor))}"
    yield f"\n{_text(value)}"
    fields = [] if constructor else list(_fields(value))
    if fields:
        yield f"\n{_code(*fields)}"
    own, elsewhere = [], dict[str, list[str]]()
    for member in members(value):
        function = inspect.getattr_static(value, member, None)
        if member.startswith(_TWINS) or not _is_described(function):
            continue
        place = described.setdefault(function, name)
        if place == name:
            own.append(_member(member, function))
        else:
            elsewhere.setdefault(place, []).append(member)
    if own:
        yield "\n" + "".join(own)
    for place, names in elsewhere.items():
        listed = ", ".join(f"`{item}`" for item in names)
        yield f"\nAs in [`{place}`](#{place.lower()}): {listed}.\n"


def _constructor(value: type) -> object:
    """Return the `__init__` that somebody wrote for a class, or None."""
    for base in our_bases(value):
        if "__init__" in vars(base):
            return None if _is_data(base) else vars(base)["__init__"]
    return None


def _is_data(value: type) -> bool:
    return "__dataclass_fields__" in vars(value)


def _is_described(function: object) -> bool:
    target = function.fget if isinstance(function, property) else _function(function)
    return target is not None and bool(target.__doc__)


def _function(value: object) -> object:
    if isinstance(value, classmethod | staticmethod):
        return value.__func__
    return value if inspect.isfunction(value) else None


def _member(name: str, value: object) -> str:
    if isinstance(value, property):
        return f"- `{name}` (property): {summary(value.fget)}\n"
    function = _function(value)
    return f"- `{_signature(name, function, sys.maxsize)}`: {summary(function)}\n"


def _signature(name: str, function: object, width: int = _WIDTH) -> str:
    """Return a signature as the source spells it, without `self`."""
    if not inspect.isfunction(function):
        return f"{name}()"
    source = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(source, ast.FunctionDef | ast.AsyncFunctionDef)
    arguments = source.args
    first = arguments.args[:1]
    if first and first[0].arg in {"self", "cls"}:
        arguments.args = arguments.args[1:]
    has_result = source.returns is not None and source.name != "__init__"
    returns = f" -> {ast.unparse(source.returns)}" if has_result and source.returns else ""
    parts = list(_parts(arguments))
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) <= width:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){returns}"])


def _parts(arguments: ast.arguments) -> Iterator[str]:
    """Yield the parameters one by one."""
    plain = [*arguments.posonlyargs, *arguments.args]
    without = len(plain) - len(arguments.defaults)
    for place, argument in enumerate(plain):
        yield _parameter(
            argument, arguments.defaults[place - without] if place >= without else None
        )
    if arguments.vararg:
        yield f"*{_parameter(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwarg:
        yield f"**{_parameter(arguments.kwarg, None)}"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    equals = " = " if annotation else "="
    return f"{argument.arg}{annotation}{equals + ast.unparse(default) if default else ''}"


def _fields(value: type) -> Iterator[str]:
    """Yield the public fields that a class of data declares, those of its bases first."""
    for base in reversed(our_bases(value)):
        if "__init__" in vars(base) and not _is_data(base):
            continue
        for statement in _body(base):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and not statement.target.id.startswith("_")
                and "ClassVar" not in ast.unparse(statement.annotation)
            ):
                yield ast.unparse(statement)


def _body(value: type) -> list[ast.stmt]:
    try:
        source = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    except (OSError, TypeError):
        return []
    return source.body if isinstance(source, ast.ClassDef) else []


def _text(value: object) -> str:
    """Return a docstring: its first paragraph, and what it says of arguments and errors."""
    documentation = docstring(value)
    parts = [one_line(documentation.short_description or "") + "\n"]
    if documentation.params:
        rows = [(f"`{item.arg_name}`", item.description or "") for item in documentation.params]
        parts.append(table(("Name", "Meaning"), rows))
    if documentation.raises:
        rows = [(f"`{item.type_name}`", item.description or "") for item in documentation.raises]
        parts.append(table(("Raises", "When"), rows))
    return "\n".join(parts)


def _code(*lines: str) -> str:
    return "```text\n" + "\n".join(lines) + "\n```\n"
