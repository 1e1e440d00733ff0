"""Rows that a transaction takes in order to change them: read in one statement, written in one.

Why not the ORM's unit of work: it does the same and takes ten times the CPU, on the path that every
run takes several times. This one does less, and a caller has to know what:

- **When rows are written.** An assignment to a field is written by the next `save`, and at the
  latest by the commit. `hold_all` saves first, so its query sees all changes. `hold` does not, to
  save a statement: its query finds by values that this transaction has not changed, and does not
  find a row of `hold_new` before it is saved. Before any other query that depends on a change, the
  caller calls `save`.
- **One object per row.** A row that the transaction holds already is returned as the same object,
  with the changes so far, and not as the database has it. So functions may take the same run again
  instead of handing it around.
- **Locks.** `hold` takes no lock by itself. Its query does, with `FOR UPDATE`, unless the lock of
  another row covers the row: the run's row covers everything in a run. A transaction on SQLite
  that will write excludes all other writers from its beginning.
- **Lost changes.** Only assignments are written. A list or dict that is changed in place is still
  the object that was read, so it does not count as changed: assign a new one
  (`row.path = [*row.path, name]`). Assigning to a row that `rows` returned is an error, and the
  type checkers report it.
- **The ORM.** Neither knows of the other's rows. A table model that was loaded in the same
  transaction keeps its old values, and no transaction may change one row both ways.

A transaction that fails is rolled back, and may be executed again from its beginning. Nothing is
held then: the entries belong to the session (`tx.info`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import Executable, RowMapping, Table, Update, bindparam
from sqlmodel import Session

from kern.db.engine.plain_rows import PlainRow, RecordT, RowT, TypedTable, execute

_Key = tuple[object, ...]
_ENTRIES = "kern_held"


@dataclass
class _Entry:
    """A row that is held; `before` has the values that its table has, or will have first."""

    row: PlainRow
    table: Table
    key: _Key
    before: dict[str, object]
    is_new: bool = False


def hold(
    tx: Session, table: TypedTable[RecordT, RowT], query: Executable, /, **values: object
) -> RowT | None:
    """Return the row that `query` finds, to be changed in this transaction; None without one.

    `query` selects the table's columns and locks the row, unless the lock of another row (its
    run's) covers it. A row that the transaction holds already is the same object again.
    """
    record = execute(tx, query, **values).mappings().first()
    return None if record is None else _held_row(tx, table, record)


def hold_all(
    tx: Session, table: TypedTable[RecordT, RowT], query: Executable, /, **values: object
) -> list[RowT]:
    """As `hold`, for all rows that `query` finds once the changes so far are written."""
    save(tx)
    return [_held_row(tx, table, record) for record in execute(tx, query, **values).mappings()]


def hold_new(tx: Session, table: TypedTable[RecordT, RowT], row: RowT) -> RowT:
    """Have a new row inserted by the next `save`, with the values that it has by then."""
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


def _held_row(tx: Session, table: TypedTable[RecordT, RowT], record: RowMapping) -> RowT:
    columns, name = table.table.columns, table.table.name
    values = {column.name: record[column.name] for column in columns}
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
    return cast("dict[_Key, _Entry]", tx.info.setdefault(_ENTRIES, {}))


@cache
def _update(table: Table, names: tuple[str, ...]) -> Update:
    """Return the statement that writes these columns, built once."""
    statement = table.update().values({name: bindparam(name) for name in names})
    for column in table.primary_key:
        statement = statement.where(column == bindparam(f"key_{column.name}"))
    return statement
