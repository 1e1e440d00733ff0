"""Rows that a transaction takes in order to change them: read in one statement, written in one.

The ORM's unit of work does the same and takes ten times as long, on the path that every run takes
several times. What was changed is written when `save` is called, and at the latest by the commit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import Executable, RowMapping, Table, Update, bindparam
from sqlmodel import Session

from kern.db.engine.plain_rows import PlainRow, RecordT, RowT, TypedTable, execute

_Key = tuple[object, ...]
_PLACE = "kern_held"


@dataclass
class _Entry:
    row: PlainRow
    table: Table
    key: _Key
    before: dict[str, object]
    is_new: bool = False


def hold(
    tx: Session,
    table: TypedTable[RecordT, RowT],
    query: Executable,
    /,
    **values: object,
) -> RowT | None:
    """Return the row that `query` finds, to be changed in this transaction; None without one.

    `query` selects the table's columns and locks the row, unless the lock of another row (its
    run's) covers it. A row that the transaction holds already is the same object again.
    """
    found = execute(tx, query, **values).mappings().first()
    return None if found is None else _held(tx, table, found)


def hold_all(
    tx: Session,
    table: TypedTable[RecordT, RowT],
    query: Executable,
    /,
    **values: object,
) -> list[RowT]:
    """As `hold`, for all rows that `query` finds once the changes so far are written."""
    save(tx)
    return [_held(tx, table, found) for found in execute(tx, query, **values).mappings()]


def hold_new(tx: Session, table: TypedTable[RecordT, RowT], row: RowT) -> RowT:
    """Have a new row inserted by the next `save`, with what it has become by then."""
    values = dict(vars(row))
    key = tuple(values[column.name] for column in table.table.primary_key)
    _entries(tx)[table.table.name, *key] = _Entry(row, table.table, key, values, is_new=True)
    return row


def save(tx: Session) -> None:
    """Write what was changed, so that the statements that follow see it."""
    _insert(tx)
    for entry in _entries(tx).values():
        changed = dict(_changes(entry))
        if not changed:
            continue
        names = tuple(sorted(changed))
        keys = {f"key_{column.name}": value for column, value in _keyed(entry)}
        execute(tx, _update(entry.table, names), **changed, **keys)
        entry.before.update(changed)


def _insert(tx: Session) -> None:
    new: dict[str, list[_Entry]] = {}
    for entry in _entries(tx).values():
        if entry.is_new:
            new.setdefault(entry.table.name, []).append(entry)
    for entries in new.values():
        for entry in entries:
            entry.before, entry.is_new = dict(vars(entry.row)), False
        tx.connection().execute(entries[0].table.insert(), [entry.before for entry in entries])


def _held(tx: Session, table: TypedTable[RecordT, RowT], found: RowMapping) -> RowT:
    columns, name = table.table.columns, table.table.name
    values = {column.name: found[column.name] for column in columns}
    key = tuple(values[column.name] for column in table.table.primary_key)
    entries = _entries(tx)
    entry = entries.get((name, *key))
    if entry is None:
        entry = _Entry(table.row_type(values), table.table, key, values)
        entries[name, *key] = entry
    return cast("RowT", entry.row)


def _changes(entry: _Entry) -> Iterator[tuple[str, object]]:
    for name, value in vars(entry.row).items():
        before = entry.before[name]
        # Not by equality alone: to Python [1] equals [True], and to JSON it does not.
        if value is not before and (isinstance(value, Mapping | list) or value != before):
            yield name, value


def _keyed(entry: _Entry) -> Iterator[tuple[Any, object]]:
    return zip(entry.table.primary_key, entry.key, strict=True)


def _entries(tx: Session) -> dict[_Key, _Entry]:
    return cast("dict[_Key, _Entry]", tx.info.setdefault(_PLACE, {}))


@cache
def _update(table: Table, names: tuple[str, ...]) -> Update:
    """Return the statement that writes these columns, built once."""
    statement = table.update().values({name: bindparam(name) for name in names})
    for column in table.primary_key:
        statement = statement.where(column == bindparam(f"key_{column.name}"))
    return statement
