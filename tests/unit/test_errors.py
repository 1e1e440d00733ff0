"""Errors: each has a code of its own, and says what a program should do."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from kern import errors
from kern.errors import KernError

ROOT = Path(__file__).resolve().parents[2]


def tree(root: type[KernError]) -> Iterator[type[KernError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


ALL = [one for one in tree(KernError) if one.__module__ == "kern.errors"]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [one.code for one in ALL]
    assert len(set(codes)) == len(codes)
    assert all("code" in vars(one) for one in ALL)


@pytest.mark.parametrize("error", ALL)
def test_every_error_ends_commands_and_requests_sensibly(error: type[KernError]) -> None:
    assert 1 <= error.exit_code < 64
    assert 400 <= error.http_status < 600
    assert error.retryable is (error in {errors.Unavailable, errors.SessionBusy})
    assert inspect.getdoc(error)
    blamed = issubclass(error, errors.InvalidInput | errors.NotFound | errors.Conflict)
    assert (error.http_status < 500) is (
        blamed or error in {errors.NotAllowed, errors.Unauthenticated}
    )


@pytest.mark.parametrize("error", ALL)
def test_the_tree_at_the_top_of_the_module_is_whole(error: type[KernError]) -> None:
    lines = [line.lstrip("│├└─ ").split() for line in (errors.__doc__ or "").splitlines()]
    facts = [error.__name__, error.code, str(error.exit_code), str(error.http_status)]
    assert [*facts, *(["yes"] if error.retryable else [])] in lines


def test_kinds_of_one_error_end_commands_alike() -> None:
    for one in ALL:
        for child in one.__subclasses__() if one is not KernError else []:
            assert (child.exit_code, child.http_status) == (one.exit_code, one.http_status)


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(tree_: ast.Module) -> Iterator[Definition]:
    classes = [node for node in tree_.body if isinstance(node, ast.ClassDef)]
    for node in [*tree_.body, *(inner for one in classes for inner in one.body)]:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def is_overload(node: Definition) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


@pytest.mark.parametrize("path", sorted((ROOT / "kern").glob("*.py")), ids=lambda path: path.stem)
def test_everything_that_users_import_says_what_it_promises(path: Path) -> None:
    found = public(ast.parse(path.read_text(encoding="utf-8")))
    assert not [
        node.name for node in found if not ast.get_docstring(node) and not is_overload(node)
    ]
