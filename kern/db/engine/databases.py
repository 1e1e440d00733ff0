"""The databases that users declare, each in front of the store that reads and writes it."""

from pathlib import Path

from kern.contracts.database import Database
from kern.db.engine.store import Store
from kern.db.engine.stores import MemoryStore, PostgresStore, SqliteStore, store_from_url
from kern.errors import InvalidDefinition
from kern.process.settings import read_settings
from kern.values.validation import described


class _StoredDatabase(Database):
    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """The database as it may be shown, without secrets."""
        return self._store.name

    def migrate(self) -> None:
        """Bring the tables up to date; several processes may call it at once.

        On Postgres nothing else does, but for `kern migrate`, unless `KERN_MIGRATE` is `auto`.

        Raises:
            Unavailable: the database does not answer, its role may not make the tables, or somebody
                holds them.
            Conflict: a newer version of Kern made the tables, and this one cannot work with them;
                a development version before 0.2 did; or workers are present that could not go on.
        """
        self._store.migrate()

    def close(self) -> None:
        """Release threads and connections."""
        self._store.close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StoredDatabase) and self._store.is_same(other._store)

    def __hash__(self) -> int:
        return hash(self.name)


class SqliteDb(_StoredDatabase):
    """Runs in one SQLite file, shared by the processes of one machine.

    It is in WAL mode with `synchronous=FULL`: what was acknowledged survives the loss of power.

    Args:
        path: The file; it and its folder are created when they do not exist.

    Raises:
        InvalidInput: the path cannot be that of a file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(SqliteStore(path))


class InMemoryDb(_StoredDatabase):
    """Runs in the memory of this process, for tests: they are gone when it ends.

    Each object is a database of its own.
    """

    def __init__(self) -> None:
        super().__init__(MemoryStore())


class PostgresDb(_StoredDatabase):
    """Runs in Postgres, through psycopg 3.

    A server that does not accept a connection within 5 seconds is considered unavailable, and one
    that vanished from the network is noticed within a minute.

    Args:
        url: `postgresql://user:password@host:port/database`. Parameters of libpq may follow, such
            as `?connect_timeout=20&keepalives_idle=60`; they replace those of Kern.
        schema: The schema of Kern's tables; default: `KERN_DATABASE_SCHEMA`, else `kern`. Two
            schemas of one database hold two installations that share nothing.
        listen_url: Where notifications are heard, if `url` is that of a pooler in transaction mode;
            default: `KERN_LISTEN_URL`, else `url`.

    Raises:
        InvalidInput: a URL cannot be read, or Postgres has no schema of such a name.
    """

    def __init__(self, url: str, schema: str | None = None, listen_url: str | None = None) -> None:
        super().__init__(PostgresStore(url, _schema(schema), listen_url or _listen_url()))


class _UrlDatabase(_StoredDatabase):
    """A database that a URL names."""


def database_from_url(url: str) -> Database:
    """Return the database that a URL names, as in `KERN_DATABASE_URL`.

    On Postgres, its tables are in the schema `KERN_DATABASE_SCHEMA`, by default `kern`.

    Raises:
        InvalidInput: the URL is that of no database that Kern supports.
    """
    return _UrlDatabase(store_from_url(url, _schema(None), _listen_url()))


def store_of(database: Database) -> Store:
    """Return the store behind a database that was declared.

    Raises:
        InvalidDefinition: its class derives from `Database` alone.
    """
    if isinstance(database, _StoredDatabase):
        # The one way behind the public class.
        return database._store  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    message = f"db is {described(database)}: use SqliteDb(…), PostgresDb(…) or InMemoryDb()."
    raise InvalidDefinition(message)


def _schema(name: str | None) -> str:
    return read_settings().database_schema if name is None else name


def _listen_url() -> str | None:
    url = read_settings().listen_url
    return None if url is None else url.get_secret_value()
