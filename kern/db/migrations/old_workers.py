"""Keeps a migration from taking away what workers that are present still need."""

from datetime import UTC, datetime

from sqlalchemy import Connection, Integer, String, column, inspect, select, table

from kern.db.engine.columns import UtcDateTime
from kern.db.engine.schema import schema_of
from kern.db.migrations import HEAD, MIN_READER
from kern.db.migrations.compatibility import TablesRevision
from kern.errors import Conflict
from kern.process.worker_names import GONE_AFTER, worker_name

# By name, and no more than is needed: the tables are those of an older revision.
_TABLE = "kern_workers"


def refuse_in_use(connection: Connection, name: str, before: TablesRevision | None) -> None:
    """See that no worker is present which could not go on after the migration.

    Raises:
        Conflict: there is one; the message names it.
    """
    schema = schema_of(connection)
    if before is None or not inspect(connection).has_table(_TABLE, schema=schema):
        return
    columns = (
        *(column("host", String), column("process", Integer)),
        *(column("revision", String), column("beat_at", UtcDateTime)),
    )
    workers = table(_TABLE, *columns, schema=schema)
    since = datetime.now(UTC) - GONE_AFTER
    query = select(workers).where(workers.c.beat_at >= since, workers.c.revision < MIN_READER)
    old = [
        f"{worker_name(row.process, row.host)} (revision {row.revision})"
        for row in connection.execute(query)
    ]
    if old:
        message = (
            f"The database {name} was not migrated from revision {before.revision} to {HEAD}: "
            f"code of a revision before {MIN_READER} cannot work with that, and these workers are "
            f"present: {', '.join(old)}. Nothing was changed. Replace them first, by the version "
            "between theirs and this one, or stop them; one that was killed counts for a minute."
        )
        raise Conflict(message)
