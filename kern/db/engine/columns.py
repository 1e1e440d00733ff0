"""Column types that behave the same on every database."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, DateTime, Dialect, Float, Table, Text, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from kern.values.canonical import canonical_json


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: aware in Python, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Refuse naive times and turn the rest into UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"{value!r} has no time zone: use an aware time in UTC."
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Return the moment as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[JsonValue]):
    """A JSON value kept as its canonical text, so that digests of it hold on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JsonValue, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Write the value canonically."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> JsonValue:  # noqa: ARG002  SQLAlchemy's signature
        """Read the value."""
        result: JsonValue = None if value is None else json.loads(value)
        return result


@dataclass(frozen=True)
class Unreadable:
    """What a column holds that is no value of its type, as after somebody wrote into the table."""

    stored: object


class _StoredTime(UtcDateTime):
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ANN401  SQLAlchemy's
        """Read the moment, or what is in its place."""
        return _readable(super().result_processor(dialect, coltype))


class _StoredJson(JsonText):
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ANN401  SQLAlchemy's
        """Read the value, or what is in its place."""
        return _readable(super().result_processor(dialect, coltype))


def as_stored(table: Table) -> list[ColumnElement[Any]]:
    """Return the columns of a table, for reading rows that anybody may have tampered with.

    What is no JSON or no time in them is read as `Unreadable`, where others raise.
    """
    stored: dict[type, TypeDecorator[Any]] = {
        UtcDateTime: _StoredTime(),
        JsonText: _StoredJson(),
    }
    return [
        type_coerce(column, stored[type(column.type)]).label(column.name)
        if type(column.type) in stored
        else column
        for column in table.c
    ]


def _readable(read: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    def read_or_keep(value: object) -> object:
        try:
            return value if read is None else read(value)
        except (ValueError, TypeError, AttributeError, RecursionError):
            return Unreadable(value)

    return read_or_keep


class Seconds(FunctionElement[float]):
    """The seconds from the first time to the second; NULL if one is."""

    name = "seconds"
    type = Float()
    inherit_cache = True


@compiles(Seconds, "sqlite")
def _in_sqlite(element: Seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's signature
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"((julianday({end}) - julianday({start})) * 86400.0)"


@compiles(Seconds, "postgresql")
def _in_postgres(element: Seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  as above
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM ({end} - {start})) AS DOUBLE PRECISION)"
