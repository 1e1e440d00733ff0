"""Brings a database's tables up to date."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from kern.db.engine.store import Store
from kern.db.migrations import HEAD
from kern.errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

_ALEMBIC = threading.Lock()
_LOCK = 0x6B65726E  # "kern": the key of the advisory lock on Postgres


def revision_of(database: Store) -> str | None:
    """Return the revision that the tables are at; None for an empty database."""
    with database.engine.connect() as connection:
        return _revision(connection)


def migrate(database: Store) -> None:
    """Apply what is missing, in one transaction; several processes may call it at once.

    Raises:
        Conflict: the tables were made by a newer version of Kern.
    """
    # Alembic keeps what it works on in globals, so one thread of a process at a time.
    with _ALEMBIC:
        _migrate(database)


def _migrate(database: Store) -> None:
    if revision_of(database) == HEAD:
        return
    with changing(database) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        _upgrade(database, connection)


@contextmanager
def changing(database: Store) -> Generator[Connection]:
    """Open the transaction in which tables change; it is committed at the block's end.

    On SQLite, some changes copy a table and drop the old one, which its own rows' references would
    forbid. They are not checked meanwhile: the copy has the same rows.
    """
    with database.engine.connect().execution_options(kern_write=True) as connection:
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


def _upgrade(database: Store, connection: Connection) -> None:
    revision = _revision(connection)
    if revision is not None and revision > HEAD:
        message = (
            f"The database {database.name} is at revision {revision}, and this version of Kern "
            f"knows only {HEAD}: it was "
            "used by a newer version. Install that one."
        )
        raise Conflict(message)
    from alembic import command  # noqa: PLC0415  slow to import, seldom needed

    command.upgrade(configuration(connection), "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
