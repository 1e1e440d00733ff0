"""Tells a program's own modules from installed ones, and digests the files of modules."""

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

_PATHS = sysconfig.get_paths()
_PACKAGES = (_PATHS["purelib"], _PATHS["platlib"])
_STANDARD = (_PATHS["stdlib"], _PATHS["platstdlib"], "<frozen")
_INSTALLED_FOLDERS = {"site-packages", "dist-packages"}


class Origin(Enum):
    """Who defines a module."""

    program = "program"
    package = "package"
    standard = "standard"


@functools.lru_cache(maxsize=4096)
def origin(module: str | None, filename: str) -> Origin:
    """Return who defines the code of a file: the program, an installed package, or Python."""
    top = (module or "").partition(".")[0]
    if top == "kern":
        return Origin.package
    if filename.startswith(_PACKAGES) or not _INSTALLED_FOLDERS.isdisjoint(Path(filename).parts):
        return Origin.package
    is_standard = filename.startswith(_STANDARD) or top in sys.builtin_module_names
    if is_standard or (not filename and top in sys.stdlib_module_names):
        return Origin.standard
    return Origin.program


def file_of(module: str | None) -> str:
    """Return the file of a module that is loaded, or no text."""
    return getattr(sys.modules.get(module or ""), "__file__", None) or ""


@functools.cache
def file_digest(filename: str) -> str:
    """Return the digest of the bytes of a file, or no text where there is none to read.

    Each file is read once: a process goes on with the code that it has loaded when a deployment
    replaces the file.
    """
    try:
        return hashlib.sha256(Path(filename).read_bytes()).hexdigest()
    except OSError:
        return ""


def import_digest(name: str, filename: str = "") -> str:
    """Return the digest of what an import of `name` executes, whether it is loaded yet or not.

    It covers the bytes of the program's own files and of those that they import in turn. Installed
    packages count by the file of the module itself, the standard library by name.
    """
    lines, pending, visited = [], [(name, filename)], set()
    while pending:
        module, place = pending.pop()
        place = place or _find(module)
        if (place or module) in visited:
            continue
        visited.add(place or module)
        source = origin(module, place)
        if source is Origin.standard:
            lines.append(module)
        elif source is Origin.package or not place:
            lines.append(f"{module} {file_digest(place)}")
        else:
            lines.append(file_digest(place))
            is_package = Path(place).stem == "__init__"
            package = module if is_package else module.rpartition(".")[0]
            pending += [(item, "") for item in _imports(place, package)]
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "replace")).hexdigest()


def module_digest(module: ModuleType) -> str:
    """Return the digest of the files behind a module that is loaded."""
    return import_digest(module.__name__, getattr(module, "__file__", None) or "")


def with_parents(name: str) -> Iterator[str]:
    """Yield a module's name and those of the packages around it."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def absolute(name: str, level: int, package: str) -> str:
    """Return the full name of a module that an import statement in `package` names."""
    if not level:
        return name
    parent = package.rsplit(".", level - 1)[0] if level > 1 else package
    return f"{parent}.{name}".strip(".")


@functools.cache
def _imports(filename: str, package: str) -> tuple[str, ...]:
    try:
        tree = ast.parse(Path(filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names.update(item.name for item in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                base = absolute(module or "", level, package)
                inner = (f"{base}.{item.name}" for item in aliases)
                names.update((base, *(item for item in inner if _find(item))))
            case _:
                pass
    return tuple(sorted({item for name in names for item in with_parents(name)}))


def _find(name: str) -> str:
    """Return the file of a module, without importing it or the packages around it."""
    if name in sys.modules:
        return file_of(name)
    return _search(name)


@functools.lru_cache(maxsize=4096)
def _search(name: str) -> str:
    top, *inner = name.split(".")
    if not top or top in sys.stdlib_module_names:
        return ""
    try:
        spec = importlib.util.find_spec(top)
        for position in range(len(inner)):
            if spec is None:
                return ""
            folders = spec.submodule_search_locations
            path = ".".join((top, *inner[: position + 1]))
            spec = importlib.machinery.PathFinder.find_spec(path, [*folders] if folders else [])
    except (ImportError, ValueError, AttributeError):
        return ""
    return (spec.origin or "") if spec is not None and spec.has_location else ""
