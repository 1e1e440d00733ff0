"""Brings a database's tables up to date."""

import hashlib
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from kern.db.engine.driver_errors import reason, sqlstate_of
from kern.db.engine.postgres_connections import UNLIMITED
from kern.db.engine.schema import schema_of
from kern.db.engine.store import Store
from kern.db.migrations import HEAD, MIN_READER
from kern.db.migrations.compatibility import (
    TablesRevision,
    is_current,
    read_revision,
    require_current,
)
from kern.db.migrations.old_workers import refuse_in_use
from kern.errors import Unavailable
from kern.process.forks import on_fork

if TYPE_CHECKING:
    from alembic.config import Config

# A migration waits for another one, and rewrites tables of any size.
_OPTIONS = {"kern_write": True, UNLIMITED: True}
_alembic = threading.Lock()
_INSUFFICIENT_PRIVILEGE = "42501"
# A lock that was not available in time, and a deadlock with somebody who locks in another order.
_COLLISIONS = frozenset({"55P03", "40P01"})
_HOLDERS = """
SELECT DISTINCT activity.pid, activity.state, activity.xact_start AT TIME ZONE 'UTC' AS since
FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation
JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
JOIN pg_stat_activity AS activity ON activity.pid = pg_locks.pid
WHERE nspname = :schema AND granted AND activity.datname = current_database()
AND activity.pid <> pg_backend_pid() ORDER BY since LIMIT 5
"""
# How long a migration waits for a lock on a table, in milliseconds, while everybody who comes later
# waits behind it: less than their own limit. Whoever is frozen inside a transaction of Kern's loses
# its locks after 15 seconds, so the migration is tried again for longer than that.
_LOCK_TIMEOUT = 3_000
_LOCK_TRIES = 8
_LOCK_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class TablesChange:
    """What a migration has done: the revision before and after, and that whose code can go on."""

    before: str | None
    after: TablesRevision


def tables_revision(database: Store) -> TablesRevision | None:
    """Return the revision of the tables; None for a database without Kern's tables.

    Raises:
        Conflict: a development version before 0.2 made the tables.
        Unavailable: the role of the database may not read them.
    """
    with database.engine.connect() as connection, _privileges(database):
        return read_revision(connection, database.name)


def revision_of(database: Store) -> str | None:
    """Return the number of the tables' revision. Raises as `tables_revision`."""
    tables = tables_revision(database)
    return None if tables is None else tables.revision


def migrate(database: Store) -> TablesChange:
    """Apply the missing migrations, in one transaction; several processes may call it at once.

    Raises:
        Conflict: a newer version of Kern made the tables, and this one cannot work with them; or a
            development version before 0.2; or workers are present that could not go on.
        Unavailable: the role of the database may not make the schema or the tables, or somebody
            holds a table.
    """
    # Alembic keeps its context in globals, so one thread of a process at a time.
    with _alembic:
        return _migrate(database)


def check(database: Store) -> None:
    """See that this version can work with the tables as they are. Raises as `require_current`."""
    require_current(database.name, tables_revision(database))


def _migrate(database: Store) -> TablesChange:
    tables = tables_revision(database)
    if tables is not None and is_current(database.name, tables):
        return TablesChange(tables.revision, tables)
    for rest in reversed(range(_LOCK_TRIES)):
        try:
            return _upgrade(database)
        except OperationalError as error:
            if sqlstate_of(error.orig) not in _COLLISIONS:
                raise
            if not rest:
                raise Unavailable(_held(database)) from error
        time.sleep(_LOCK_PAUSE_SECONDS)
    raise AssertionError  # pragma: no cover  the last try returns or raises


def _upgrade(database: Store) -> TablesChange:
    # Slow to import and seldom needed; not under the lock, for which others wait.
    from alembic import command  # noqa: PLC0415  as said

    with changing(database) as connection, _privileges(database):
        lock_migrations(connection)
        # Another process may have been first.
        before = read_revision(connection, database.name)
        if not is_current(database.name, before):
            refuse_in_use(connection, database.name, before)
            _limit_waits(connection)
            command.upgrade(configuration(connection), "head")
        after = read_revision(connection, database.name) or TablesRevision(HEAD, MIN_READER)
        return TablesChange(None if before is None else before.revision, after)


@contextmanager
def changing(database: Store) -> Generator[Connection]:
    """Open the transaction in which tables change; it is committed at the block's end.

    On SQLite, some changes copy a table and drop the old one, which its own rows' references would
    forbid. They are not checked meanwhile: the copy has the same rows.
    """
    with database.engine.connect().execution_options(**_OPTIONS) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        raw = connection.connection
        if is_sqlite:
            # It has no effect inside a transaction.
            raw.cursor().execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
            connection.commit()
        finally:
            connection.rollback()
            if is_sqlite:
                raw.cursor().execute("PRAGMA foreign_keys=ON")


def configuration(connection: Connection) -> "Config":
    """Return Alembic's configuration for a connection."""
    from alembic.config import Config  # noqa: PLC0415  slow to import, seldom needed

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def lock_migrations(connection: Connection) -> None:
    """Wait until no other process changes these tables; on SQLite, the write lock does it.

    The keys of advisory locks belong to the whole database: each schema has its own, and an
    application is unlikely to use either. The lock ends with the transaction, so it is safe behind
    a pooler.
    """
    schema = schema_of(connection)
    if schema is not None:
        digest = hashlib.sha256(f"kern migrates {schema}".encode()).digest()
        key = {"key": int.from_bytes(digest[:8], "big", signed=True)}
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)


def prepare_schema(connection: Connection) -> None:
    """Create Kern's schema on Postgres where it is missing, and enter it."""
    schema = schema_of(connection)
    # CREATE SCHEMA needs its privilege even with IF NOT EXISTS and where the schema exists: an
    # administrator may have created it for a role that may not.
    if schema is not None and not inspect(connection).has_schema(schema):
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    enter_schema(connection)


def enter_schema(connection: Connection) -> None:
    """Have names without a schema mean Kern's schema, and none else, until the transaction ends.

    SQLAlchemy qualifies the tables that it creates, but neither Alembic's ALTER TABLE nor the SQL
    that a migration writes out. `SET LOCAL` ends with the transaction, so it is safe behind a
    pooler, and without `public` in the path no migration reaches the application's tables.
    """
    schema = schema_of(connection)
    if schema is not None:
        path = {"path": f'"{schema}"'}
        connection.execute(text("SELECT set_config('search_path', :path, true)"), path)


def _limit_waits(connection: Connection) -> None:
    """Give up soon where somebody holds a table, since everybody else waits behind the migration.

    The wait for another migration, which comes before, has no limit.
    """
    if schema_of(connection) is not None:
        connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT}"))


def _held(database: Store) -> str:
    """Say which transactions hold Kern's tables."""
    with database.engine.connect() as connection:
        rows = connection.execute(text(_HOLDERS), {"schema": schema_of(connection)}).all()
    since = [f"process {row.pid} ({row.state}, since {row.since:%H:%M:%S} UTC)" for row in rows]
    return (
        f"The database {database.name} was not migrated: other transactions hold its tables"
        f"{': ' if since else ''}{', '.join(since)}. Nothing was changed. End them "
        "(`SELECT pg_terminate_backend(…)`) or wait for their end, and run `kern migrate` again."
    )


@contextmanager
def _privileges(database: Store) -> Generator[None]:
    """Explain what to do where Postgres refuses a role."""
    try:
        yield
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        schema, role = schema_of(database.engine), database.engine.url.username or "the role"
        message = (
            f"The database {database.name} refuses: {reason(error)}. Kern keeps its tables in the "
            f"schema {schema}: have an administrator execute `CREATE SCHEMA IF NOT EXISTS {schema} "
            f"AUTHORIZATION {role}`, or name a schema of {role} in KERN_DATABASE_SCHEMA."
        )
        raise Unavailable(message) from error


def _begin_anew() -> None:
    """Make the lock anew in a forked child: the thread that held it may be missing there."""
    global _alembic  # noqa: PLW0603  a process has one
    _alembic = threading.Lock()


on_fork(in_child=_begin_anew)
