"""Databases that have their tables already: copies of one that was migrated once a process."""

import tempfile
from functools import cache
from pathlib import Path

from kern.db import Database, PostgresDb, SqliteDb
from tests.support import postgres


def sqlite_with_tables(path: Path) -> SqliteDb:
    """Make a SQLite file with Kern's tables at a path, and return its database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_sqlite())
    return SqliteDb(path)


def postgres_with_tables() -> str:
    """Make a database with Kern's tables on this process's server, and return its URL."""
    return postgres.server().fresh_database(template=_postgres())


@cache
def _sqlite() -> bytes:
    with tempfile.TemporaryDirectory(prefix="kern-template-") as folder:
        path = Path(folder) / "kern.db"
        _make_tables(SqliteDb(path))
        return path.read_bytes()


@cache
def _postgres() -> str:
    url = postgres.fresh_database()
    _make_tables(PostgresDb(url))
    return url.rpartition("/")[2]


def _make_tables(database: Database) -> None:
    database.migrate()
    database.close()
