"""Rows without the ORM's unit of work, which takes five times as long for the same statement.

For what is only added or only read. Rows that are read and then changed stay with the session.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Executable, Insert, Table
from sqlmodel import Session, SQLModel

Kind = TypeVar("Kind", bound=SQLModel)


def table_of(kind: type[SQLModel]) -> Table:
    """Return the table of a kind of row."""
    return SQLModel.metadata.tables[_name(kind)]


def add(tx: Session, kind: type[SQLModel], /, **values: object) -> None:
    """Insert a row of which this transaction needs nothing more.

    Not with the row of what it refers to still unflushed.
    """
    tx.connection().execute(_insertion(_name(kind)), values)


def add_row(tx: Session, row: SQLModel) -> None:
    """Insert a row that was filled in and is not changed any more."""
    names = table_of(type(row)).c.keys()
    tx.connection().execute(
        _insertion(_name(type(row))), {name: getattr(row, name) for name in names}
    )


def rows(
    tx: Session,
    kind: type[Kind],  # noqa: ARG001  the type of the result
    query: Executable,
    /,
    **values: object,
) -> Iterator[Kind]:
    """Read rows only to look at them: they have the attributes of `kind`, and cannot be changed.

    `query` selects the table's columns (`table_of(kind).select()`). It is built once, with
    parameters, since building and hashing it takes longer than asking it.
    """
    found: Any = tx.connection().execute(query, values)
    return cast("Iterator[Kind]", iter(found))


def _name(kind: type[SQLModel]) -> str:
    return str(kind.__tablename__)


@cache
def _insertion(name: str) -> Insert:
    return SQLModel.metadata.tables[name].insert()
