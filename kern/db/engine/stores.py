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
from kern.db.engine.postgres_connections import (
    SNAPSHOT,
    begin_with_limits,
    connect_options,
    without_own_parameters,
)
from kern.db.engine.schema import enter_engine, schema_of, valid_schema
from kern.db.engine.store import Result, Store
from kern.errors import Conflict, InvalidInput
from kern.process.forks import ForkGate
from kern.process.settings import DEFAULT_SCHEMA
from kern.values.validation import described

_BUSY_SECONDS = 30


class SqliteStore(Store):
    """Runs in one SQLite file, shared by the processes of one machine.

    It is in WAL mode with `synchronous=FULL`: what was acknowledged survives the loss of power.

    Args:
        path: The file; it and its folder are created when they do not exist.

    Raises:
        InvalidInput: the path cannot be that of a file.
    """

    def __init__(self, path: str | Path) -> None:
        _check_path(path)
        # A file has one name, however it is reached.
        self.path = Path(path).expanduser().resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # It holds every message: only its user may read it. SQLite gives the files that it creates
        # beside it (the write-ahead log and its index) the same mode.
        if not self.path.exists():
            self.path.touch(mode=0o600, exist_ok=True)
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            # Python's driver would begin transactions by itself, and only before a write: `_begin`
            # does it for every transaction instead.
            connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        self._gate, self._is_settled = ForkGate(), True
        super().__init__(engine, threads=4)

    def _migrating(self, work: Callable[[], Result]) -> Result:
        with self._gate:
            return super()._migrating(work)

    def before_fork(self) -> None:
        """Close all connections to the file.

        SQLite keeps the locks of a file's connections in memory, and the kernel gives a forked
        child none of them. A child that inherited that memory would believe that it holds them, and
        the parent would delete the write-ahead log under it. With no connection open, nothing is
        there to inherit.
        """
        self._is_settled = self._gate.close()
        self.engine.dispose()

    def after_fork_in_parent(self) -> None:
        """Let transactions go on."""
        self._gate.open()

    def after_fork_in_child(self) -> None:
        """Begin anew, unless a connection was in use when the process forked."""
        super().after_fork_in_child()
        self._gate = ForkGate()
        if not self._is_settled:
            self._refusal = (
                f"This process was forked while a transaction on {self.name} did not end, and "
                "SQLite cannot be used then. Fork again, or start the process with the method "
                "'spawn'."
            )

    def _commit(self, transaction: Callable[[Session], Result]) -> Result:
        with self._gate:
            return super()._commit(transaction)

    def _look(self, transaction: Callable[[Session], Result]) -> Result:
        with self._gate:
            return super()._look(transaction)


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
        event.listen(engine, "connect", _enforce_foreign_keys)
        event.listen(engine, "begin", _begin)
        # A database in memory belongs to its connection, so there is one for all threads, and it
        # holds one transaction at a time.
        self._connection_lock = threading.RLock()
        super().__init__(engine, threads=1)

    def after_fork_in_child(self) -> None:
        """Refuse to go on: what either process writes from now on, the other would not see."""
        super().after_fork_in_child()
        self._connection_lock = threading.RLock()
        self._refusal = (
            "This database is in the memory of the process that made it, and this one was forked "
            "from that. Make another InMemoryDb() here, or share a SqliteDb(…) between them."
        )

    def _migrating(self, work: Callable[[], Result]) -> Result:
        if self._refusal is not None:
            raise Conflict(self._refusal)
        return super()._migrating(work)

    @property
    def name(self) -> str:
        """The database as it may be shown: memory has no address, so each has a number."""
        return f"{super().name} in memory ({id(self):x})"

    def write_now(
        self, transaction: Callable[[Session], Result], since: float | None = None
    ) -> Result:
        """As `write`, in the calling thread."""
        with self._connection_lock:
            return super().write_now(transaction, since)

    def read_now(
        self, transaction: Callable[[Session], Result], since: float | None = None
    ) -> Result:
        """As `read`, in the calling thread."""
        with self._connection_lock:
            return super().read_now(transaction, since)


class PostgresStore(Store):
    """Runs in Postgres, through psycopg 3.

    A server that does not accept a connection within 5 seconds is considered unavailable, and one
    that vanished from the network is noticed within a minute.

    Args:
        url: `postgresql://user:password@host:port/database`. Parameters of libpq may follow, such
            as `?connect_timeout=20&keepalives_idle=60`; they replace those of Kern.
        schema: The schema of Kern's tables.
        listen_url: Where `LISTEN` is heard, if `url` is that of a pooler.

    Raises:
        InvalidInput: a URL cannot be read, or Postgres has no schema of such a name.
    """

    # Postgres's default, READ COMMITTED, gives each statement a snapshot of its own: a run read by
    # one statement and its messages by the next could come from two different moments. With
    # REPEATABLE READ the whole transaction sees the snapshot of its first statement. Writers keep
    # the default: they lock the rows that they change (`FOR UPDATE`) and have to see what the
    # transaction that held the lock before has committed, which an older snapshot would refuse.
    _read_options = MappingProxyType({SNAPSHOT: True})
    # Many processes share it, of two versions during a deployment: somebody has to decide when.
    _migrates = "command"

    def __init__(
        self, url: str, schema: str = DEFAULT_SCHEMA, listen_url: str | None = None
    ) -> None:
        schema = valid_schema(schema)
        parsed = _parsed(url, "The database's URL")
        listening = parsed if listen_url is None else _parsed(listen_url, "KERN_LISTEN_URL")
        self.listen_url = without_own_parameters(listening)
        engine = create_engine(
            without_own_parameters(parsed),
            connect_args=connect_options(parsed),
            pool_size=10,
            max_overflow=10,
            # A connection that broke while it was idle is replaced before a transaction gets it.
            pool_pre_ping=True,
            hide_parameters=True,
        )
        enter_engine(engine, schema)
        begin_with_limits(engine, parsed)
        super().__init__(engine, threads=10)

    @property
    def name(self) -> str:
        """The database as it may be shown, and its schema if that is not the default."""
        schema = schema_of(self.engine)
        return super().name if schema == DEFAULT_SCHEMA else f"{super().name} (schema {schema})"

    def _notify(self, session: Session, news: Mapping[str, int]) -> None:
        pg_notify.send(session, [pg_notify.news(run_id, seq) for run_id, seq in news.items()])


def store_from_url(url: str, schema: str = DEFAULT_SCHEMA, listen_url: str | None = None) -> Store:
    """Return the database that `KERN_DATABASE_URL` names; the rest counts on Postgres alone.

    Raises:
        InvalidInput: the URL is neither `postgresql://…` nor `sqlite:///path`, or the schema's name
            is invalid.
    """
    scheme, _, address = url.partition("://")
    match scheme.partition("+")[0]:
        case "postgresql" | "postgres":
            return PostgresStore(f"postgresql://{address}", schema, listen_url)
        case "sqlite" if address.strip("/"):
            return SqliteStore(address.removeprefix("/"))
        case _:
            message = (
                f"KERN_DATABASE_URL begins with {scheme[:20]!r}: use "
                "postgresql://user:password@host:port/database or "
                "sqlite:///path/to/file.db."
            )
            raise InvalidInput(message)


def _parsed(url: str, name: str) -> URL:
    try:
        return make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        message = f"{name} cannot be read: use postgresql://user:password@host:port/database."
        raise InvalidInput(message) from error


def _check_path(path: object) -> None:
    if not isinstance(path, str | Path) or not str(path).strip() or "\0" in str(path):
        advice = "give the path of a file"
    elif str(path) == ":memory:":
        advice = "use InMemoryDb() for a database in memory"
    elif Path(path).expanduser().is_dir():
        advice = "it is a folder; give the path of a file in it"
    else:
        return
    message = f"SqliteDb cannot keep runs in {described(path)}: {advice}."
    raise InvalidInput(message)


class _Cursor(Protocol):
    def execute(self, statement: str, /) -> object: ...


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    cursor: _Cursor = connection.cursor()
    _switch_to_wal(cursor)
    # NORMAL, the usual companion of WAL, may lose the last commits with the power.
    cursor.execute("PRAGMA synchronous=FULL")
    _enforce_foreign_keys(connection, _record)


def _enforce_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    # SQLite checks references only on connections that ask for it.
    cursor: _Cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")


def _switch_to_wal(cursor: _Cursor) -> None:
    """Switch the file to a write-ahead log: readers and the writer do not block each other in it.

    The switch needs the file for itself, and SQLite's busy timeout does not cover it: where several
    processes open a new file at once, all but one fail immediately. So it is tried again here. The
    mode is a property of the file: for all later connections the statement changes nothing.
    """
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
    # SQLite has one writer at a time. A plain BEGIN takes no lock: the transaction becomes a reader
    # with its first SELECT, and has to be promoted at its first write. If another process has
    # committed in between, its snapshot is out of date, and SQLite refuses the promotion at once
    # with SQLITE_BUSY, without waiting for the busy timeout: waiting could not help. IMMEDIATE
    # takes the write lock before anything is read, and for that lock the timeout does wait.
    # Readers keep the plain BEGIN: in WAL mode they wait for nobody and see one snapshot.
    writes = connection.get_execution_options().get("kern_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
