"""Writes the types of rows from the tables, so that neither can drift from the other."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[2] / "kern" / "db" / "engine"
_WARNING = "Written from the tables by `UPDATE_ROW_TYPES=1 pytest -n 0 -k row_types`: change those."

# Which tables have rows that are read as a whole, and what a row is called.
_NOUNS = {
    "SessionRow": "Session",
    "RunRow": "Run",
    "MessageRow": "Message",
    "ToolCallRow": "ToolCall",
    "RequirementRow": "Requirement",
    "DecisionRow": "Decision",
    "ChainHeadRow": "ChainHead",
    "SealRow": "Seal",
    "SealHeadRow": "SealHead",
    "UnsealedRow": "Unsealed",
    "EventRow": "Event",
    "OutboxRow": "Outbox",
    "StepRow": "Step",
    "FeedRow": "Feed",
    "FeedHeadRow": "FeedHead",
    "SubscriptionRow": "Subscription",
    "DeliveryRow": "Delivery",
}
# Those whose rows are only ever inserted with all their values at once.
_APPENDED = {"MessageRow", "EventRow", "UnsealedRow", "FeedRow"}

Fields = Mapping[str, str]


def sources() -> dict[Path, str]:
    """Return what the modules of row types have to hold."""
    modules = (
        "tables.py",
        "requirement_tables.py",
        "seal_tables.py",
        "feed_tables.py",
        "subscription_tables.py",
    )
    tables = {name: fields for module in modules for name, fields in _tables(module).items()}
    steps = _tables("step_tables.py")
    return {
        ENGINE / "records.py": _records(tables, "the rows"),
        ENGINE / "step_records.py": _records(steps, "the steps of pipelines"),
        ENGINE / "mutable_rows.py": _mutable_rows({**tables, **steps}),
    }


def _tables(module: str) -> dict[str, Fields]:
    statements = ast.parse((ENGINE / module).read_text(encoding="utf-8")).body
    classes = (node for node in statements if isinstance(node, ast.ClassDef))
    return {node.name: dict(_fields(node)) for node in classes if node.name in _NOUNS}


def _fields(table: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement in table.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, ast.unparse(statement.annotation)


def _records(tables: Mapping[str, Fields], subject: str) -> str:
    classes = [
        f"class {_NOUNS[table]}Record(Protocol):\n"
        f'    """The fields of a `{table}`, read-only."""\n\n'
        + "".join(
            f"    @property\n    def {name}(self) -> {_read_only(annotation)}: ...\n"
            for name, annotation in fields.items()
        )
        for table, fields in tables.items()
    ]
    docstring = f'''"""Read-only views of {subject}: what `plain_rows.rows` returns.

A `Record` fits every kind of row: SQLAlchemy's, a mutable one, and a table model. What only reads
a row is annotated with it, so that the type checkers refuse an assignment, which would be lost.

{_WARNING}
"""'''
    imports = (
        "from collections.abc import Mapping, Sequence\nfrom datetime import datetime\n"
        "from typing import Protocol\n\n"
    )
    return _module(docstring, f"{imports}from pydantic import JsonValue\n", classes)


def _read_only(annotation: str) -> str:
    """Return the type without the methods that change a list or a dict in place."""
    return annotation.replace("list[", "Sequence[").replace("dict[", "Mapping[")


def _mutable_rows(tables: Mapping[str, Fields]) -> str:
    classes = [
        f"class Mutable{_NOUNS[table]}(PlainRow):\n"
        f'    """The fields of a `{table}`, for the transaction that may change them."""\n\n'
        + "".join(f"    {name}: {annotation}\n" for name, annotation in fields.items())
        for table, fields in tables.items()
        if table not in _APPENDED
    ]
    docstring = f'''"""Rows that a transaction may change: what `new_row` and `hold` return.

Only the unit of work, and `add_row` for a new row, write what is assigned to their fields.

{_WARNING}
"""'''
    imports = (
        "from datetime import datetime\n\nfrom pydantic import JsonValue\n\n"
        "from kern.db.engine.plain_rows import PlainRow\n"
    )
    return _module(docstring, imports, classes)


def _module(docstring: str, imports: str, classes: list[str]) -> str:
    return f"{docstring}\n\n{imports}\n\n" + "\n\n".join(classes)
