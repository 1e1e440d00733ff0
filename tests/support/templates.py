"""Databases that have their tables already: copies of one that was migrated once a process."""

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from kern.db.engine.store import Store
from kern.db.engine.stores import MemoryStore, PostgresStore, SqliteStore
from tests.support import postgres


def with_tables(kind: str, folder: Path) -> Store:
    """Make an empty database of a kind (`sqlite`, `postgres` or `memory`) with Kern's tables."""
    if kind == "postgres":
        return PostgresStore(postgres_with_tables())
    return memory_with_tables() if kind == "memory" else sqlite_with_tables(folder / "kern.db")


def sqlite_with_tables(path: Path) -> SqliteStore:
    """Make a SQLite file with Kern's tables at a path, and return its database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_sqlite())
    return SqliteStore(path)


def memory_with_tables() -> MemoryStore:
    """Make a database in memory that has Kern's tables."""
    database = MemoryStore()
    _connection(database).deserialize(_memory())
    return database


def postgres_with_tables() -> str:
    """Make a database with Kern's tables on this process's server, and return its URL."""
    return postgres.server().fresh_database(template=_postgres())


@cache
def _sqlite() -> bytes:
    with tempfile.TemporaryDirectory(prefix="kern-template-") as folder:
        path = Path(folder) / "kern.db"
        _make_tables(SqliteStore(path))
        return path.read_bytes()


@cache
def _memory() -> bytes:
    database = MemoryStore()
    database.migrate()
    made = _connection(database).serialize()
    database.close()
    return made


def _connection(database: MemoryStore) -> sqlite3.Connection:
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


@cache
def _postgres() -> str:
    url = postgres.fresh_database()
    _make_tables(PostgresStore(url))
    return url.rpartition("/")[2]


def _make_tables(database: Store) -> None:
    database.migrate()
    database.close()
