"""The names that code looks up, what it imports, and whether it looks up by any name."""

import builtins
import dis
import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from kern.tools.code_files import absolute, with_parents
from kern.tools.code_kinds import PLAIN

# With these, code reaches what it does not name: in its own module, or in modules that it names.
_OWN_LOOKUPS = frozenset(
    {"globals", "eval", "exec", "compile", "modules"}
    | {"__globals__", "f_globals", "get_type_hints", "get_annotations"}
)
_LOOKUPS = frozenset(
    {"getattr", "vars", "__dict__", "__getattribute__", "attrgetter", "methodcaller", "getmembers"}
)
# What imports a module by its name, and what executes a text.
_IMPORTERS = frozenset({"import_module", "__import__"})
_EVALUATORS = frozenset({"eval", "exec", "compile"})
# What loads modules in ways of which nothing can be read from the code.
_LOADERS = frozenset(
    {"spec_from_file_location", "SourceFileLoader", "SourcelessFileLoader", "exec_module"}
    | {"load_module", "run_path", "run_module", "resolve_name", "import_string"}
)
_NO_STEPS = frozenset({"PUSH_NULL", "PRECALL", "CACHE", "NOP", "EXTENDED_ARG", "NOT_TAKEN"})


def is_importer(value: object) -> bool:
    """Whether a value is one of Python's functions that import a module by its name."""
    return value is importlib.import_module or value is builtins.__import__


def added_builtins(names: set[str]) -> list[tuple[str, object]]:
    """Return what code finds under some names among the builtins, and Python has not put there."""
    space = vars(builtins)
    items = [(name, space[name]) for name in sorted(names & space.keys())]
    return [(name, value) for name, value in items if not _is_of_python(value)]


def set_on(
    module: ModuleType, names: set[str], is_own: Callable[[object], bool]
) -> list[tuple[str, object]]:
    """Return what code names of somebody else's module that the program may have set on it.

    A plain value, or a function or class of the program, that is; texts of `sys` are those of a
    machine.
    """
    space = vars(module)
    items = [(name, space[name]) for name in sorted(names & space.keys())]
    return [
        (name, value)
        for name, value in items
        if is_own(value)
        or (type(value) in PLAIN and (module is not sys or not isinstance(value, str)))
    ]


def _is_of_python(value: object) -> bool:
    if isinstance(value, BuiltinFunctionType):
        return value.__self__ is builtins
    constants = (None, True, False, ..., NotImplemented)
    if isinstance(value, type):
        return value.__module__ == "builtins"
    return any(value is item for item in constants) or type(value).__module__ == "_sitebuiltins"


def _codes(code: CodeType) -> list[CodeType]:
    """Return code and the code inside it."""
    inner = (item for item in code.co_consts if isinstance(item, CodeType))
    return [code, *(part for item in inner for part in _codes(item))]


def names_of(code: CodeType) -> set[str]:
    """Return the names that code, and the code inside it, looks up."""
    return {name for part in _codes(code) for name in part.co_names}


def imports_of(function: FunctionType) -> tuple[list[str], bool]:
    """Return the modules that a function imports in its body, and whether there may be others.

    It may name them in an import statement, or in a text: `import_module("rules")`,
    `sys.modules["rules"]`. Which module any other argument names, nobody can tell.
    """
    package = str(function.__globals__.get("__package__") or "")
    names, has_others = set[str](), False
    importers, has_sys = _IMPORTERS | _aliases(function), "sys" in names_of(function.__code__)
    for part in _codes(function.__code__):
        names.update(_imported_by(part, package))
        literals, is_open = _named_in(part, importers, has_sys=has_sys)
        names.update(literals)
        has_others = has_others or is_open or not _LOADERS.isdisjoint(part.co_names)
    is_relative = any(name.startswith(".") for name in names)
    return sorted({parent for name in names for parent in with_parents(name)}), (
        has_others or is_relative
    )


def _aliases(function: FunctionType) -> frozenset[str]:
    """Return under which names a function has what imports by name."""
    space, cells = function.__globals__, function.__closure__ or ()
    inner = dict(zip(function.__code__.co_freevars, map(content_of, cells), strict=True))
    looked_up = names_of(function.__code__) & space.keys()
    return frozenset(
        [name for name in looked_up if is_importer(space[name])]
        + [name for name, value in inner.items() if is_importer(value)]
    )


def _named_in(
    code: CodeType, importers: frozenset[str], *, has_sys: bool
) -> tuple[list[str], bool]:
    """Return the modules that code names in texts, and whether it may reach others."""
    named = {*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars}
    if named.isdisjoint(importers | _EVALUATORS | {"modules"}):
        # Disassembling takes far longer, and most code names none of them.
        return [], False
    steps = [step for step in dis.get_instructions(code) if step.opname not in _NO_STEPS]
    names: list[str] = []
    for position, step in enumerate(steps):
        is_name = step.opname.startswith("LOAD_") and step.opname != "LOAD_CONST"
        if not is_name or not isinstance(step.argval, str):
            continue
        following = steps[position + 1 : position + 4]
        is_global = step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}
        if step.argval in importers:
            name = _only_argument(following)
        elif step.argval == "modules" and has_sys:
            name = _key(following)
        elif step.argval in _EVALUATORS and (is_global or step.argval != "compile"):
            text = _first_argument(following)
            name = None if text is None or "import" in text else ""
        else:
            continue
        if name is None:
            return names, True
        names += [name] if name else []
    return names, False


def _first_argument(steps: Sequence[dis.Instruction]) -> str | None:
    """Return the text that a function is called with, if it stands in the code."""
    if steps and steps[0].opname == "LOAD_CONST" and isinstance(steps[0].argval, str):
        return steps[0].argval
    return None


def _only_argument(steps: Sequence[dis.Instruction]) -> str | None:
    is_call = len(steps) > 1 and steps[1].opname == "CALL" and steps[1].arg == 1
    return _first_argument(steps) if is_call else None


def _key(steps: Sequence[dis.Instruction]) -> str | None:
    """Return by which key a mapping is read, if it stands in the code; no text for a module's own.

    The own module is reached with all that it has.
    """
    if steps and steps[0].argval == "get":
        steps = steps[1:]
    if steps and steps[0].argval == "__name__":
        return ""
    is_read = len(steps) > 1 and steps[1].opname in {"BINARY_SUBSCR", "BINARY_OP", "CALL"}
    return _first_argument(steps) if is_read else None


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
