"""The schema on Postgres that holds Kern's tables.

The tables are declared without a schema, and a store on Postgres puts its own before their names:
every statement says `schema.kern_…`, so that it means the same on every connection. A `search_path`
would not: a connection pooler in transaction mode (PgBouncer) hands the settings of a session to
other clients, or loses them.

On SQLite there is no schema.
"""

from typing import Any

from sqlalchemy import Connection, Engine, Table

from kern.errors import InvalidInput
from kern.process.settings import schema_problem
from kern.values.validation import described

_OPTION = "kern_schema"


def enter_engine(engine: Engine, schema: str) -> None:
    """Have the statements of an engine name this schema for tables declared without one.

    The schema is put in when a statement is compiled, once for an engine, whose cache keeps it.
    SQLAlchemy's `schema_translate_map` does the same at each execution: it replaces a placeholder
    before every column of the compiled text, which made a query of the 40 columns of a run half as
    expensive again.
    """

    def schema_for_object(item: Any, /) -> Any:  # noqa: ANN401  SQLAlchemy declares it so
        # Aliases and subqueries are asked about as well, and have none.
        return schema if isinstance(item, Table) and item.schema is None else item.schema

    engine.dialect.identifier_preparer.schema_for_object = schema_for_object
    engine.update_execution_options(**{_OPTION: schema})


def schema_of(bind: Engine | Connection) -> str | None:
    """Return the schema in which Kern's tables lie; None where the database has no schemas."""
    schema: str | None = bind.get_execution_options().get(_OPTION)
    return schema


def valid_schema(name: object) -> str:
    """Return the name of a schema.

    Raises:
        InvalidInput: Postgres would not take it, or only in quotes.
    """
    problem = schema_problem(name)
    if problem is None and isinstance(name, str):
        return name
    message = f"The schema is {described(name)}: {problem}."
    raise InvalidInput(message)
