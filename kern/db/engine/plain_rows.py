"""Rows without the ORM's unit of work, which takes five times as long for the same statement.

For what is only added or only read; `kern.db.held` has those that are read and then changed.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Executable, Insert, Table
from sqlmodel import Session, SQLModel

from kern.db.engine.base import KernRow, row_class

Kind = TypeVar("Kind", bound=SQLModel)
_CONNECTION, _LATER = "kern_connection", "kern_later"


class PlainRow:
    """A row's attributes, with nothing behind them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        vars(self).update(values)


def table_of(kind: type[SQLModel]) -> Table:
    """Return the table of a kind of row."""
    return KernRow.metadata.tables[_name(kind)]


def execute(tx: Session, query: Executable, /, **values: object) -> CursorResult[Any]:
    """Execute a statement.

    It is built once, with parameters, since building and hashing it takes longer than asking it.
    """
    connection: Connection | None = tx.info.get(_CONNECTION)
    if connection is None:
        connection = tx.info[_CONNECTION] = tx.connection()
    return connection.execute(query, values)


def new_row(kind: type[Kind], /, **values: object) -> Kind:
    """Return a row that is not in its table yet, with the defaults of its kind.

    It has the attributes of `kind`; `add_row` puts it into the table.
    """
    return cast("Kind", PlainRow({**_defaults(_name(kind)), **values}))


def add_row(tx: Session, kind: type[Kind], row: Kind) -> None:
    """Insert a row that was filled in and is not changed any more."""
    execute(tx, _insertion(_name(kind)), **vars(row))


def add(tx: Session, kind: type[SQLModel], /, **values: object) -> None:
    """Insert a row of which this transaction needs nothing more.

    Not with the row of what it refers to still unflushed.
    """
    execute(tx, _insertion(_name(kind)), **values)


def add_later(tx: Session, kind: type[SQLModel], /, **values: object) -> None:
    """Insert a row at the transaction's end, all of a kind in one statement.

    Nothing in the transaction reads it or refers to it.
    """
    later: dict[str, list[dict[str, object]]] = tx.info.setdefault(_LATER, {})
    later.setdefault(_name(kind), []).append(values)


def add_what_waits(tx: Session) -> None:
    """Insert what `add_later` was given."""
    later: dict[str, list[dict[str, object]]] = tx.info.pop(_LATER, {})
    for name, values in later.items():
        tx.connection().execute(_insertion(name), values)


def rows(
    tx: Session,
    kind: type[Kind],  # noqa: ARG001  the type of the result
    query: Executable,
    /,
    **values: object,
) -> Iterator[Kind]:
    """Read rows only to look at them: they have the attributes of `kind`, and cannot be changed.

    `query` selects the table's columns (`table_of(kind).select()`).
    """
    found: Any = execute(tx, query, **values)
    return cast("Iterator[Kind]", iter(found))


def _name(kind: type[SQLModel]) -> str:
    return str(kind.__tablename__)


@cache
def _defaults(name: str) -> dict[str, object]:
    # By name, since a kind does not count as hashable.
    fields = row_class(name).model_fields
    return {name: field.default for name, field in fields.items() if not field.is_required()}


@cache
def _insertion(name: str) -> Insert:
    return KernRow.metadata.tables[name].insert()
