"""Rows without the ORM's unit of work, which takes five times as long for the same statement.

Three kinds of objects stand for a row:

- what `rows` reads is SQLAlchemy's `Row`. It cannot be changed, and is annotated as a record of
  `kern.db.engine.records`;
- what `new_row` makes, and what `kern.db.engine.unit_of_work` takes to change it, is a `PlainRow`
  of the table's own class, from `kern.db.engine.mutable_rows`;
- a table model (`RunRow`) is what a query of SQLModel's reads, where a path is seldom taken.

A function is annotated with the weakest kind that it needs: a record if it only reads. All three
have the fields of a record, so nothing is ever converted.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Executable
from sqlmodel import Session, SQLModel

_CONNECTION, _LATER = "kern_connection", "kern_later"


class PlainRow:
    """A row's fields as plain attributes, with nothing behind them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        vars(self).update(values)


RecordT = TypeVar("RecordT")
RowT = TypeVar("RowT", bound=PlainRow)


class TypedTable(Generic[RecordT, RowT]):
    """A table with the types of its rows: `RecordT` as they are read, `RowT` as they are changed.

    Attributes:
        table: The table itself, from which statements are built.
        row_type: The class of the rows that may be changed.
        defaults: The values of the columns that have a default, by name.
        insertion: The statement that inserts rows, built once.
    """

    def __init__(self, model: type[SQLModel], row_type: type[RowT]) -> None:
        fields = model.model_fields.items()
        self.table = model.metadata.tables[str(model.__tablename__)]
        self.row_type = row_type
        self.defaults = {name: field.default for name, field in fields if not field.is_required()}
        self.insertion = self.table.insert()


def execute(tx: Session, query: Executable, /, **values: object) -> CursorResult[Any]:
    """Execute a statement.

    It is built once, with parameters, since building and hashing it takes longer than asking it.
    """
    connection: Connection | None = tx.info.get(_CONNECTION)
    if connection is None:
        connection = tx.info[_CONNECTION] = tx.connection()
    return connection.execute(query, values)


def rows(
    tx: Session,
    table: TypedTable[RecordT, RowT],  # noqa: ARG001  the type of the rows
    query: Executable,
    /,
    **values: object,
) -> Iterator[RecordT]:
    """Read rows that this transaction does not change.

    `query` selects the columns of the table (`RUNS.table.select()`).
    """
    return cast("Iterator[RecordT]", iter(execute(tx, query, **values)))


def new_row(table: TypedTable[RecordT, RowT], /, **values: object) -> RowT:
    """Return a row with the defaults of its table, into which `add_row` puts it."""
    return table.row_type({**table.defaults, **values})


def add_row(tx: Session, table: TypedTable[RecordT, RowT], row: RowT) -> None:
    """Insert a row that was filled in and is not changed any more."""
    execute(tx, table.insertion, **vars(row))


def add(tx: Session, table: TypedTable[RecordT, RowT], /, **values: object) -> None:
    """Insert a row of which this transaction needs nothing more.

    The row that it refers to has to be in its table, not only in the ORM's or the unit of work.
    """
    execute(tx, table.insertion, **values)


def add_later(tx: Session, table: TypedTable[RecordT, RowT], /, **values: object) -> None:
    """Insert a row at the transaction's end, all of a table in one statement.

    Nothing in the transaction reads it or refers to it.
    """
    later: dict[str, _Later] = tx.info.setdefault(_LATER, {})
    _, batch = later.setdefault(table.table.name, (table.insertion, []))
    batch.append(values)


def insert_deferred(tx: Session) -> None:
    """Insert the rows of `add_later`."""
    later: dict[str, _Later] = tx.info.pop(_LATER, {})
    for insertion, batch in later.values():
        tx.connection().execute(insertion, batch)


_Later = tuple[Executable, list[dict[str, object]]]
