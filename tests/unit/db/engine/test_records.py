"""The types of rows have the fields of their tables.

`UPDATE_ROW_TYPES=1 pytest -n 0 -k row_types` writes them after a table has changed.
"""

import os
from pathlib import Path

import pytest

from kern.db.engine import typed_tables
from kern.db.engine.plain_rows import PlainRow, TypedTable, new_row
from tests.support.row_types import sources

TABLES = [table for table in vars(typed_tables).values() if isinstance(table, TypedTable)]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_row_types_have_the_fields_of_the_tables(path: Path) -> None:
    source = sources()[path]
    if os.environ.get("UPDATE_ROW_TYPES"):
        path.write_text(source, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == source


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.table.name)
def test_new_row_has_the_columns_of_its_own_table(table: TypedTable[object, PlainRow]) -> None:
    fields = table.row_type.__annotations__
    assert not fields or list(fields) == list(table.table.c.keys())


def test_new_row_has_the_defaults_of_its_table() -> None:
    row = new_row(typed_tables.RUNS, id="r")
    assert (row.status, row.is_queued, row.path, row.content) == ("pending", False, [], None)
