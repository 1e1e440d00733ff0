"""The rules for authors of migrations, as far as they can be checked: CONTRIBUTING.md has them."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import getsource
from types import ModuleType

_TAKING_AWAY = re.compile(
    r"\b(DROP|RENAME|SET\s+NOT\s+NULL|ALTER\s+(COLUMN\s+)?\w+\s+TYPE)\b", re.IGNORECASE
)
_ALWAYS = {
    *("drop_table", "drop_column", "rename_table"),
    *("create_unique_constraint", "create_check_constraint", "create_foreign_key"),
    *("create_primary_key", "create_exclude_constraint"),
}


@dataclass(frozen=True)
class Revision:
    """One revision of the tables."""

    number: str
    min_reader: str | None
    source: str

    @classmethod
    def of(cls, module: ModuleType) -> "Revision":
        """Read the revision of a script."""
        return cls(module.revision, getattr(module, "min_reader", None), getsource(module))


def breaches(revisions: Sequence[Revision]) -> list[str]:
    """Return what breaks the rules, from the first revision to the last."""
    return [
        text
        for before, revision in zip([None, *revisions], revisions, strict=False)
        for text in _breaches(before, revision)
    ]


def _breaches(before: Revision | None, revision: Revision) -> Iterator[str]:
    if revision.min_reader is None:
        yield f"{revision.number} says nothing of min_reader"
        return
    if before is None or before.min_reader is None:
        return
    if revision.min_reader < before.min_reader:
        yield f"min_reader falls in {revision.number}: code is not older than it was"
    if revision.min_reader > before.number:
        yield f"the version before cannot work with {revision.number}: contract a release later"
    removals = list(_removals(revision.source))
    if removals and revision.min_reader == before.min_reader:
        yield f"{revision.number} takes away: raise min_reader, or do not: {removals}"


def _removals(source: str) -> Iterator[str]:
    """Find the statements of `upgrade` with which older code cannot work, or may not."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    for function in functions:
        if function.name != "downgrade":
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _takes_away(node):
                    yield ast.unparse(node)


def _takes_away(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    match name:
        case "alter_column":
            is_stricter = options.get("nullable") == "False"
            return is_stricter or bool(options.keys() & {"new_column_name", "type_"})
        case "add_column":
            column = next(node for node in call.args if isinstance(node, ast.Call))
            declared = {keyword.arg: ast.unparse(keyword.value) for keyword in column.keywords}
            return declared.get("nullable") == "False" and "server_default" not in declared
        case "create_index":
            return options.get("unique") == "True"
        case "execute":
            return _TAKING_AWAY.search(ast.unparse(call)) is not None
        case _:
            return name in _ALWAYS
