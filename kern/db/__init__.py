"""Where runs are kept: SQLite, Postgres, or memory, behind one contract."""

from kern.contracts.database import Database
from kern.db.engine.databases import InMemoryDb, PostgresDb, SqliteDb, database_from_url

__all__ = ["Database", "InMemoryDb", "PostgresDb", "SqliteDb", "database_from_url"]
