"""Brings a database's tables up to date."""

import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, String, column, inspect, select, table, text
from sqlalchemy.exc import ProgrammingError

from kern.db.engine.base import PREFIX
from kern.db.engine.driver_errors import reason
from kern.db.engine.postgres_connections import UNLIMITED
from kern.db.engine.schema import schema_of
from kern.db.engine.store import Store
from kern.db.migrations import HEAD
from kern.errors import Conflict, Unavailable
from kern.process.forks import on_fork

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = f"{PREFIX}version"

# A migration waits for another one, and rewrites tables of any size.
_OPTIONS = {"kern_write": True, UNLIMITED: True}
_alembic = threading.Lock()
_INSUFFICIENT_PRIVILEGE = "42501"
# The versions before 0.2 used the names of an application: Alembic's own version table, and tables
# without a prefix. These are all of the first of them, so that no application is mistaken for one.
_DEVELOPMENT_REVISIONS = frozenset({"0001", "0002", "0003", "0004", "0005"})
_DEVELOPMENT_TABLES = frozenset(
    {
        *("alembic_version", "chain_heads", "decisions", "events", "messages", "outbox"),
        *("requirements", "runs", "sessions", "tool_calls"),
    }
)


def revision_of(database: Store) -> str | None:
    """Return the revision of the tables; None for a database without Kern's tables.

    Raises:
        Conflict: a development version before 0.2 made the tables.
        Unavailable: the role of the database may not read them.
    """
    with database.engine.connect() as connection, _privileges(database):
        return _revision(database, connection)


def migrate(database: Store) -> None:
    """Apply the missing migrations, in one transaction; several processes may call it at once.

    Raises:
        Conflict: a newer version of Kern made the tables, or a development version before 0.2.
        Unavailable: the role of the database may not make the schema or the tables.
    """
    # Alembic keeps its context in globals, so one thread of a process at a time.
    with _alembic:
        _migrate(database)


def _migrate(database: Store) -> None:
    if revision_of(database) == HEAD:
        return
    # Slow to import and seldom needed; not under the lock, for which others wait.
    from alembic import command  # noqa: PLC0415  as said

    with changing(database) as connection, _privileges(database):
        lock_migrations(connection)
        if _must_upgrade(database, connection):
            command.upgrade(configuration(connection), "head")


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


def _must_upgrade(database: Store, connection: Connection) -> bool:
    """Whether the tables are still older than the code; another process may have been first."""
    revision = _revision(database, connection)
    if revision is not None and revision > HEAD:
        message = (
            f"The database {database.name} is at revision {revision}, and this version of Kern "
            f"knows only {HEAD}: a newer version has used it. Install that one."
        )
        raise Conflict(message)
    return revision != HEAD


def _revision(database: Store, connection: Connection) -> str | None:
    schema, tables = schema_of(connection), inspect(connection)
    if tables.has_table(VERSION_TABLE, schema=schema):
        version = column("version_num", String)
        versions = table(VERSION_TABLE, version, schema=schema)
        return connection.execute(select(version).select_from(versions)).scalar()
    # Those versions left it to Postgres to find names without a schema: usually in `public`.
    if not set(tables.get_table_names()) >= _DEVELOPMENT_TABLES:
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision not in _DEVELOPMENT_REVISIONS:
        return None
    message = (
        f"The tables in the database {database.name} were made by a development version of Kern "
        f"before 0.2 (revision {revision}), which this version cannot read. Move the database "
        "away, or name another one, and begin anew; its runs can be read with that version only."
    )
    raise Conflict(message)


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
