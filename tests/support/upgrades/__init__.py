"""Databases as older revisions left them, written by the code of that time.

For a revision, `revision_….sql` holds the rows, and `revision_….json` what that code read from
them. Both are history: when tables change, they do not. `record` writes those of a new revision.
"""

import json
import re
from pathlib import Path

from alembic import command
from pydantic import JsonValue, TypeAdapter

from kern.db.engine.store import Store
from kern.db.migrations.migrate import changing, configuration
from kern.workflow import Parallel, Step, Steps, Workflow
from tests.support.pipelines import pipeline

HERE = Path(__file__).parent
_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_BYTES = re.compile(r"\bX'([0-9a-f]*)'")


def fill(database: Store, revision: str) -> None:
    """Bring an empty database to a revision, with the rows that were recorded of it."""
    with changing(database) as connection:
        command.upgrade(configuration(connection), revision)
        is_postgres = connection.dialect.name == "postgresql"
        if is_postgres:
            # The rows' times are in UTC, as SQLite keeps them.
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        # The migration has made the rows already at which the log of seals and the feed begin.
        connection.exec_driver_sql("DELETE FROM kern_seal_head")
        connection.exec_driver_sql("DELETE FROM kern_feed_head")
        rows = (HERE / f"revision_{revision}.sql").read_text(encoding="utf-8")
        for statement in rows.splitlines():
            if statement and not statement.startswith("--"):
                own = _BYTES.sub(r"'\\x\1'", statement) if is_postgres else statement
                connection.exec_driver_sql(own)


def downgrade(database: Store, revision: str) -> None:
    """Take a database back to a revision."""
    with changing(database) as connection:
        command.downgrade(configuration(connection), revision)


def told(revision: str) -> dict[str, JsonValue]:
    """Return what the code of a revision read from its rows."""
    text = (HERE / f"revision_{revision}.json").read_text(encoding="utf-8")
    return _JSON.validate_python(json.loads(text))


def unfinished_workflow() -> Workflow:
    """Return the workflow whose run was recorded halfway."""
    a, b, c, d, e, f = (Step(name, str, effect="idempotent") for name in "abcdef")
    one, two = Steps([Parallel(a, b), c], name="one"), Steps([d], name="two")
    return pipeline(f, Parallel(one, two), e)
