"""The names that code looks up, what it imports, and whether it looks up by any name."""

import dis
import functools
from types import BuiltinFunctionType, CodeType, FunctionType

from kern.tools.code_files import absolute, with_parents

# With these, code reaches what it does not name: in its own module, or in modules that it names.
_OWN_LOOKUPS = frozenset(
    {"globals", "eval", "exec", "compile", "__import__", "import_module", "modules"}
    | {"__globals__", "f_globals", "get_type_hints", "get_annotations"}
)
_LOOKUPS = frozenset(
    {"getattr", "vars", "__dict__", "__getattribute__", "attrgetter", "methodcaller", "getmembers"}
)


def _codes(code: CodeType) -> list[CodeType]:
    """Return code and the code inside it."""
    inner = (item for item in code.co_consts if isinstance(item, CodeType))
    return [code, *(part for item in inner for part in _codes(item))]


def names_of(code: CodeType) -> set[str]:
    """Return the names that code, and the code inside it, looks up."""
    return {name for part in _codes(code) for name in part.co_names}


def imports_of(function: FunctionType) -> list[str]:
    """Return the modules that a function imports in its body."""
    package = str(function.__globals__.get("__package__") or "")
    names = {name for part in _codes(function.__code__) for name in _imported_by(part, package)}
    return sorted({parent for name in names for parent in with_parents(name)})


def lookups(function: FunctionType, names: set[str]) -> tuple[bool, bool]:
    """Return whether a function may look up by name in its own module, and in those it names."""
    space = function.__globals__
    values = (space[name] for name in names & space.keys())
    kinds = (BuiltinFunctionType, FunctionType)
    used = names | {value.__name__ for value in values if isinstance(value, kinds)}
    return not _OWN_LOOKUPS.isdisjoint(used), not _LOOKUPS.isdisjoint(used)


@functools.lru_cache(maxsize=1024)
def _imported_by(code: CodeType, package: str) -> tuple[str, ...]:
    names: list[str] = []
    last: list[object] = []
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            level, items = last[-2:] if len(last) > 1 else (0, None)
            base = absolute(str(step.argval), level if isinstance(level, int) else 0, package)
            inner = items if isinstance(items, tuple) else ()
            names += [base, *(f"{base}.{item}" for item in inner)]
        if step.opname.startswith("LOAD_"):
            last.append(step.argval)
    return tuple(names)


def content_of(cell: object) -> object:
    """Return what a cell of a closure holds, or None while it is empty."""
    try:
        return getattr(cell, "cell_contents", None)
    except ValueError:
        return None
