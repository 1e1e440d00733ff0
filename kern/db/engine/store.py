"""The contract of every store: a transaction is a plain function that may be executed again."""

import asyncio
import random
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from kern.db.engine.after_commit import (
    is_due,
    is_fed,
    news_of,
    stopped_in,
    warnings_of,
)
from kern.db.engine.driver_errors import (
    discard_lost_connections,
    is_outage,
    is_passing,
    is_slow,
    reason,
    unavailable,
)
from kern.db.engine.forked_stores import follow_forks
from kern.db.engine.plain_rows import insert_deferred
from kern.db.engine.unit_of_work import save
from kern.errors import Conflict, DatabaseFailure, InvalidInput, KernError, Unavailable
from kern.process.checkpoints import reach
from kern.process.forks import abandon
from kern.process.live_text import FEED_CHANNEL, Broadcaster
from kern.process.logs import get_logger
from kern.process.settings import Migrates
from kern.process.stop_signals import Stops

if TYPE_CHECKING:
    from kern.db.migrations.migrate import TablesChange

_log = get_logger("kern.db")

Result = TypeVar("Result")

# The program's own random numbers are left alone, and those after a fork differ.
_jitter = random.SystemRandom()

# Pauses between executions grow from 0.04 seconds to this.
_LONGEST_PAUSE = 1.0
# How long a server is tried that says nothing: each attempt may take the whole connect timeout.
_UNREACHABLE_SECONDS = 10.0
# How long one is tried that refuses, as during a restart or a failover. A frozen holder of a lock
# loses it after 15 seconds.
_REFUSED_SECONDS = 20.0
# How often a transaction is executed that the server refuses alone, such as one of a deadlock.
_ATTEMPTS = 10
# A transaction that lost a race for a unique key finds the winner's row when it is executed again.
# A key that is violated each time is no race.
_RACES = 3


class Store:
    """A database that keeps runs.

    A transaction is a function of a `Session`. It is executed in a thread, and again from its
    beginning when the database refused it for a reason that passes: a deadlock, a lost race for a
    unique key, a broken connection. So it must have no effect outside the database; what has to
    happen after the commit, it notes with `kern.db.engine.after_commit`.
    """

    _write_options: ClassVar[Mapping[str, object]] = {"kern_write": True}
    _read_options: ClassVar[Mapping[str, object]] = {}
    _migrates: ClassVar[Migrates] = "auto"

    def __init__(self, engine: Engine, *, threads: int) -> None:
        self.engine = engine
        discard_lost_connections(engine)
        self._thread_count = threads
        self._refusal: str | None = None
        self._reset()
        follow_forks(self)

    def _reset(self) -> None:
        self.broadcaster, self.stops = Broadcaster(), Stops()
        self._threads = ThreadPoolExecutor(self._thread_count, thread_name_prefix="kern-db")
        self._when_due: Callable[[], object] = bool
        # Of the installation, once it was read.
        self.workflow_prefix: str | None = None

    @property
    def name(self) -> str:
        """The database as it may be shown: its URL without secrets."""
        url = self.engine.url.set(drivername=self.engine.url.get_backend_name())
        secrets = {key: "***" for key in url.query if "password" in key}
        return url.update_query_dict(secrets).render_as_string(hide_password=True)

    @contextmanager
    def when_due(self, act: Callable[[], object]) -> Generator[None]:
        """Call `act`, in any thread, after each commit that left a delivery to the relay."""
        self._when_due = act
        try:
            yield
        finally:
            self._when_due = bool

    def is_same(self, other: "Store") -> bool:
        """Whether both are stores of the same rows."""
        return self is other or self.name == other.name

    async def write(self, transaction: Callable[[Session], Result]) -> Result:
        """Execute a transaction that changes rows; return its result once it is committed."""
        start = time.monotonic()
        return await self._in_thread(lambda: self.write_now(transaction, start))

    async def read(self, transaction: Callable[[Session], Result]) -> Result:
        """Execute a transaction that only reads; all its statements see the same snapshot."""
        start = time.monotonic()
        return await self._in_thread(lambda: self.read_now(transaction, start))

    def write_now(
        self, transaction: Callable[[Session], Result], since: float | None = None
    ) -> Result:
        """As `write`, in the calling thread; a caller may have waited for it `since` then."""
        return self._repeat(lambda: _checked(lambda: self._commit(transaction)), since)

    def read_now(
        self, transaction: Callable[[Session], Result], since: float | None = None
    ) -> Result:
        """As `read`, in the calling thread; a caller may have waited for it `since` then."""
        return self._repeat(lambda: _checked(lambda: self._look(transaction)), since)

    def open(self, migrates: Migrates | None = None) -> None:
        """See that this version can work with the tables, or bring them up to date.

        Args:
            migrates: Who migrates; default: on Postgres only `kern migrate`, on SQLite everybody.

        Raises:
            NotMigrated: there are no tables, or older ones, and only `kern migrate` migrates.
            Conflict: a newer version of Kern made the tables, and this one cannot work with them.
            Unavailable: as `migrate`.
        """
        from kern.db.migrations.migrate import check  # noqa: PLC0415  alembic is slow to import

        if (migrates or self._migrates) == "auto":
            self.migrate()
        else:
            self._migrating(lambda: check(self))

    def migrate(self) -> "TablesChange":
        """Bring the tables up to date; safe to call from several processes at once.

        Raises:
            Unavailable: the database does not answer, its role may not make the tables, or somebody
                holds them.
            Conflict: a newer version of Kern made the tables, and this one cannot work with them;
                a development version before 0.2 did; or workers could not go on.
        """
        from kern.db.migrations.migrate import migrate  # noqa: PLC0415  alembic is slow to import

        return self._migrating(lambda: migrate(self))

    def _migrating(self, work: Callable[[], Result]) -> Result:
        """Look at the tables as a whole, or change them."""
        try:
            return work()
        except DBAPIError as error:
            if is_passing(error):
                raise unavailable(self.name, error) from error
            # SQLite's driver raises the class itself for a file that is damaged or no database; its
            # subclasses are errors in a migration.
            if type(error) is not DatabaseError:
                raise self._failed(error) from error
            message = (
                f"The database {self.name} cannot be read: {error.orig}. Put a copy of it in its "
                "place, or move it away to begin without what it holds."
            )
            raise Unavailable(message) from error

    def close(self) -> None:
        """Release threads and connections."""
        self._threads.shutdown(wait=True)
        self.engine.dispose()

    def before_fork(self) -> None:
        """Prepare for a fork of this process; connections to a server need nothing."""

    def after_fork_in_parent(self) -> None:
        """Go on after a fork."""

    def after_fork_in_child(self) -> None:
        """Begin anew: the inherited connections are the parent's, and the threads are missing."""
        abandon(self.engine.pool, self._threads, self.broadcaster, self.stops)
        self.engine.dispose(close=False)
        self._reset()

    def _notify(self, session: Session, news: Mapping[str, int]) -> None:
        """Have other processes notified, by the commit, of runs with new events."""

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _commit(self, transaction: Callable[[Session], Result]) -> Result:
        with Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options=self._write_options)
            result = transaction(session)
            # First what the ORM holds, then the changed rows of the unit of work, then the rows
            # that nothing in the transaction refers to.
            session.flush()
            save(session)
            insert_deferred(session)
            news = news_of(session)
            if news:
                self._notify(session, news)
            reach("write.before_commit")
            session.commit()
            self.broadcaster.committed(news)
            if is_fed(session):
                # In this process alone. Notifications of Postgres are sent by the transaction that
                # numbers the rows: those of a database are committed one after another.
                self.broadcaster.committed({FEED_CHANNEL: 0})
            self.stops.notify(stopped_in(session))
            for event, facts in warnings_of(session):
                _log.warning(event, **facts)
            reach("write.after_commit")
            if is_due(session):
                self._when_due()
            return result

    def _look(self, transaction: Callable[[Session], Result]) -> Result:
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            session.connection(execution_options=self._read_options)
            return transaction(session)

    def _repeat(self, work: Callable[[], Result], since: float | None) -> Result:
        """Execute a transaction until it succeeds, or fails in a way that repeating cannot help.

        An outage is waited for, however often it refuses; the time that a call has waited for a
        thread counts, so that callers behind each other wait no longer than the first.

        Where the connection broke during a commit, nobody knows whether the commit happened, and
        the transaction is executed again on top of it: it has to recognise its own result.
        """
        if self._refusal is not None:
            raise Conflict(self._refusal)
        start, races, attempt = time.monotonic(), 0, 0
        called = start if since is None else since
        while True:
            attempt += 1
            try:
                return work()
            except PoolTimeout as error:
                raise Unavailable(
                    f"All connections to the database {self.name} are in use: {error}."
                ) from error
            except IntegrityError as error:
                races += 1
                if races > _RACES:
                    raise self._failed(error) from error
                pause = _pause(attempt)
            except DBAPIError as error:
                if not is_passing(error):
                    raise self._failed(error) from error
                waits = is_outage(error)
                end = (called if waits else start) + _patience(error)
                pause = _pause(attempt)
                if time.monotonic() + pause > end or (attempt >= _ATTEMPTS and not waits):
                    raise unavailable(self.name, error) from error
            time.sleep(pause)

    def _failed(self, error: DBAPIError) -> DatabaseFailure:
        return DatabaseFailure(
            f"The database {self.name} refuses a statement of Kern's: {reason(error)}. Check with "
            "`kern doctor` that its tables are those of this version, and that its role may read "
            "and write them."
        )


def _pause(attempt: int) -> float:
    """Return how long to wait after an attempt; equal pauses would make two collide again."""
    return _jitter.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2**attempt))


def _patience(error: DBAPIError) -> float:
    """Return for how long an error is waited for before it is reported."""
    return _UNREACHABLE_SECONDS if is_slow(error) else _REFUSED_SECONDS


def _checked(work: Callable[[], Result]) -> Result:
    """Execute a transaction; a value that the database cannot store becomes `InvalidInput`."""
    try:
        return work()
    except (DataError, UnicodeEncodeError) as error:
        cause = error.orig if isinstance(error, DataError) else error
        raise InvalidInput(f"A value cannot be stored: {cause}.") from error
    except StatementError as error:
        # SQLAlchemy wraps what a column type raises, such as the refusal of a value by `JsonText`.
        if isinstance(error.orig, KernError):
            raise error.orig from error
        raise
