"""The databases that Kern can keep runs in."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool
from sqlmodel import Session

from kern.db.engine import pg_notify
from kern.db.engine.store import Result, Store
from kern.errors import InvalidInput
from kern.values.validation import described

_BUSY_SECONDS = 30
# libpq's own: it would wait for ever for a server that the network swallows, and the system's
# keep-alive would notice a dead one after two hours. The last is in milliseconds.
_PATIENCE: Mapping[str, int] = MappingProxyType(
    {
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
)


class SqliteStore(Store):
    """Runs in one SQLite file, shared by the processes of one machine.

    It is in WAL mode with `synchronous=FULL`: what was acknowledged survives the loss of power.

    Args:
        path: The file; it and its folder are made when they do not exist.

    Raises:
        InvalidInput: it names no file.
    """

    def __init__(self, path: str | Path) -> None:
        _check_path(path)
        # One file has one name, however it is reached.
        self.path = Path(path).expanduser().resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # It holds all that was said: only its user reads it. SQLite's own files beside it follow.
        if not self.path.exists():
            self.path.touch(mode=0o600, exist_ok=True)
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        super().__init__(engine, threads=4)


class MemoryStore(Store):
    """Runs in the memory of this process, for tests: they are gone when it ends.

    Each object is a database of its own.
    """

    def __init__(self) -> None:
        engine = create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "isolation_level": None},
            hide_parameters=True,
        )
        event.listen(engine, "connect", _check_keys)
        event.listen(engine, "begin", _begin)
        # One connection is one transaction at a time, whichever thread it is in.
        self._one = threading.RLock()
        super().__init__(engine, threads=1)

    @property
    def name(self) -> str:
        """The database as it may be shown: memory has no address, so each has a number."""
        return f"{super().name} in memory ({id(self):x})"

    def write_now(self, transaction: Callable[[Session], Result]) -> Result:
        """As `write`, in the calling thread."""
        with self._one:
            return super().write_now(transaction)

    def read_now(self, transaction: Callable[[Session], Result]) -> Result:
        """As `read`, in the calling thread."""
        with self._one:
            return super().read_now(transaction)


class PostgresStore(Store):
    """Runs in Postgres, through psycopg 3.

    A server that does not take a connection within 5 seconds counts as away, and one that vanished
    from the network is noticed within a minute.

    Args:
        url: `postgresql://user:password@host:port/database`. Parameters of libpq may follow, such
            as `?connect_timeout=20&keepalives_idle=60`; they replace those of Kern.
    """

    # By default each statement would see what was committed before it, so no two see one state.
    _read_options = MappingProxyType({"isolation_level": "REPEATABLE READ"})

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url).set(drivername="postgresql+psycopg")
        except ArgumentError as error:
            message = (
                "The database's URL cannot be read: use "
                "postgresql://user:password@host:port/database."
            )
            raise InvalidInput(message) from error
        unsaid = {name: value for name, value in _PATIENCE.items() if name not in parsed.query}
        engine = create_engine(
            parsed,
            connect_args=unsaid,
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        super().__init__(engine, threads=10)

    def _announce(self, session: Session, news: Mapping[str, int]) -> None:
        pg_notify.send(session, [pg_notify.news(run_id, seq) for run_id, seq in news.items()])


def store_from_url(url: str) -> Store:
    """Return the database that `KERN_DATABASE_URL` names.

    Raises:
        InvalidInput: it is neither `postgresql://…` nor `sqlite:///path`.
    """
    scheme, _, rest = url.partition("://")
    match scheme.partition("+")[0]:
        case "postgresql" | "postgres":
            return PostgresStore(f"postgresql://{rest}")
        case "sqlite" if rest.strip("/"):
            return SqliteStore(rest.removeprefix("/"))
        case _:
            message = (
                f"KERN_DATABASE_URL begins with {scheme[:20]!r}: use "
                "postgresql://user:password@host:port/database or "
                "sqlite:///path/to/file.db."
            )
            raise InvalidInput(message)


def _check_path(given: object) -> None:
    if not isinstance(given, str | Path) or not str(given).strip() or "\0" in str(given):
        wanted = "give the path of a file"
    elif str(given) == ":memory:":
        wanted = "use InMemoryDb() for a database in memory"
    elif Path(given).expanduser().is_dir():
        wanted = "it is a folder; give the path of a file in it"
    else:
        return
    message = f"SqliteDb cannot keep runs in {described(given)}: {wanted}."
    raise InvalidInput(message)


class _Cursor(Protocol):
    def execute(self, statement: str, /) -> object: ...


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    cursor: _Cursor = connection.cursor()
    _into_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    _check_keys(connection, _record)


def _check_keys(connection: sqlite3.Connection, _record: object) -> None:
    cursor: _Cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")


def _into_wal(cursor: _Cursor) -> None:
    """Change a new file's journal; SQLite's own timeout does not wait for others who do it now."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  a jitter, no secret
        else:
            return


def _begin(connection: Connection) -> None:
    # A transaction that begins by reading and then writes fails at once when another wrote in
    # between, and no
    # timeout helps; so one that will write takes the lock at its beginning.
    writes = connection.get_execution_options().get("kern_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
