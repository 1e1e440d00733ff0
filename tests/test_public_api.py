"""Compares what users may import with the list that was agreed on, `public_api.txt`.

`UPDATE_PUBLIC_API=1 pytest -n 0 tests/test_public_api.py` writes the list anew, for the modules
that stand in it. The difference belongs into the review, and a name that goes into CHANGELOG.md.
"""

import ast
import importlib
import inspect
import os
import tomllib
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import kern

LIST = Path(__file__).with_name("public_api.txt")
ROOT = LIST.parent.parent
HEADER = """\
# What users may import. A module stands at the margin, its names below it, the members of a class
# after a dot, the parameters of what is called by name. tests/test_public_api.py tells how to
# write it anew.
"""
# Each kind stands at the number of its stars.
STARS = (None, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def listed_modules() -> list[str]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", " "))]


def bound(statement: ast.stmt, *, exports: bool) -> Iterator[str]:
    """Yield the names that a statement at the top of a module defines."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (node.id for node in statement.targets if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
    elif exports and isinstance(statement, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in statement.names)


def names_in(module: ModuleType) -> list[str]:
    """Return a module's public names: its `__all__`, else what it defines.

    A package's `__init__` also exports what it imports from `kern`.
    """
    declared: list[str] | None = getattr(module, "__all__", None)
    if declared is not None:
        return sorted(declared)
    is_package = hasattr(module, "__path__")
    statements = ast.parse(inspect.getsource(module)).body
    found = {
        name
        for statement in statements
        for name in bound(statement, exports=is_package and is_ours(statement))
    }
    return sorted(name for name in found if not name.startswith("_"))


def is_ours(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("kern")


def our_bases(value: type) -> list[type]:
    return [base for base in value.__mro__ if base.__module__.partition(".")[0] == "kern"]


def members(value: type) -> list[str]:
    """Return the public members that a class has from code of ours."""
    ours = our_bases(value)
    found = {name for base in ours for name in (*vars(base), *inspect.get_annotations(base))}
    if issubclass(value, BaseModel):
        found |= set(value.model_fields)
    if issubclass(value, Enum):
        found |= set(value.__members__)
    # pydantic puts these two into the namespace of a model.
    hidden = ("_", "model_config", "model_post_init")
    return sorted(name for name in found if not name.startswith(hidden))


def spelled(taken: Iterable[inspect.Parameter]) -> Iterator[str]:
    """Yield parameters as a signature has them, with the star before those that need a name."""
    starred = False
    for one in taken:
        if one.kind is one.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or one.kind in {one.KEYWORD_ONLY, one.VAR_POSITIONAL}
        if one.name != "self":
            yield f"{'*' * STARS.index(one.kind) if one.kind in STARS else ''}{one.name}"


def parameters(value: object) -> str:
    """Return what a function takes, by name, and nothing for what is none."""
    function = inspect.unwrap(value) if callable(value) else value
    if not inspect.isfunction(function):
        return ""
    return f"({', '.join(spelled(inspect.signature(function).parameters.values()))})"


def constructor(value: type) -> str:
    """Return what a class of ours takes; of a model, the fields say it."""
    if any("__init__" in vars(base) for base in our_bases(value)):
        return parameters(inspect.getattr_static(value, "__init__"))
    return ""


def describe_name(name: str, value: object) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"  {name}{parameters(value)}"
        return
    yield f"  {name}{constructor(value)}"
    for member in members(value):
        yield f"  {name}.{member}{parameters(getattr(value, member, None))}"


def describe(module: str) -> Iterator[str]:
    loaded = importlib.import_module(module)
    yield module
    for name in names_in(loaded):
        yield from describe_name(name, getattr(loaded, name))


def current() -> str:
    blocks = ("\n".join(describe(module)) for module in listed_modules())
    return HEADER + "\n" + "\n\n".join(blocks) + "\n"


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert kern.__version__ == project["version"]


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'agents'"):
        getattr(kern, "agents")  # noqa: B009  type checkers know that it is none


def test_the_public_surface_is_the_one_agreed_on() -> None:
    found = current()
    if os.environ.get("UPDATE_PUBLIC_API"):
        LIST.write_text(found, encoding="utf-8")
    assert LIST.read_text(encoding="utf-8") == found
