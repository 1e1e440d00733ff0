"""The schema on Postgres that holds Kern's tables.

The tables are declared without a schema, and the engine of a store translates "none" into its own
(`schema_translate_map`): every statement names `schema.kern_…`, so that it means the same on every
connection. A `search_path` would not: a connection pooler in transaction mode (PgBouncer) hands a
session's settings to other clients, or loses them.

On SQLite there is no schema, and nothing is translated.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, Engine

from kern.errors import InvalidInput
from kern.process.settings import schema_problem
from kern.values.validation import described


def schema_options(schema: str) -> Mapping[str, object]:
    """Return the execution options of an engine whose tables lie in a schema."""
    return {"schema_translate_map": {None: schema}}


def schema_of(bind: Engine | Connection) -> str | None:
    """Return the schema in which Kern's tables lie; None where the database has no schemas."""
    translations: Mapping[None, str] = bind.get_execution_options().get("schema_translate_map", {})
    return translations.get(None)


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
