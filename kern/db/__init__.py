"""Where runs are kept: SQLite, Postgres, or memory, behind one contract."""

from kern.db.databases import InMemoryDb, PostgresDb, SqliteDb, database_from_url
from kern.db.engine import Database

__all__ = ["Database", "InMemoryDb", "PostgresDb", "SqliteDb", "database_from_url"]
