"""Databases as older revisions left them, written by the code of that time.

For revision 0001: `revision_0001.sql` holds the rows, and `revision_0001.json` what that code read
from them. Both are history: when tables change, they do not.
"""

import json
from pathlib import Path

from alembic import command
from pydantic import JsonValue, TypeAdapter

from kern.db.engine.store import Store
from kern.db.migrations.migrate import changing, configuration

_HERE = Path(__file__).parent
_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def fill(database: Store, revision: str) -> None:
    """Bring an empty database to a revision, with the rows that were kept of it."""
    with changing(database) as connection:
        command.upgrade(configuration(connection), revision)
        if connection.dialect.name == "postgresql":
            # The rows' times are in UTC, as SQLite keeps them.
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        rows = (_HERE / f"revision_{revision}.sql").read_text(encoding="utf-8")
        for statement in rows.splitlines():
            if statement and not statement.startswith("--"):
                connection.exec_driver_sql(statement)


def downgrade(database: Store, revision: str) -> None:
    """Take a database back to a revision."""
    with changing(database) as connection:
        command.downgrade(configuration(connection), revision)


def told(revision: str) -> dict[str, JsonValue]:
    """Return what the code of a revision read from its rows."""
    text = (_HERE / f"revision_{revision}.json").read_text(encoding="utf-8")
    return _JSON.validate_python(json.loads(text))
