"""One contract for every database: a transaction is a plain function that may be executed again."""

import asyncio
import random
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    StatementError,
)
from sqlmodel import Session

from kern.db.engine.after_commit import is_due, news_of, stopped_in
from kern.db.engine.plain_rows import insert_deferred
from kern.db.engine.unit_of_work import save
from kern.errors import InvalidInput, KernError, Unavailable
from kern.process.checkpoints import reach
from kern.process.live_text import Broadcaster
from kern.process.stop_signals import Stops

Result = TypeVar("Result")

_ATTEMPTS = 8
_PATIENCE_SECONDS = 10.0


class Store:
    """A database that keeps runs.

    What reads or writes is a function of a `Session`; it is executed in one transaction, in a
    thread, and again from the
    beginning when the database asks for that (a deadlock, a lost race for a unique key). So it must
    have no other effect.
    """

    _write_options: ClassVar[Mapping[str, object]] = {"kern_write": True}
    _read_options: ClassVar[Mapping[str, object]] = {}

    def __init__(self, engine: Engine, *, threads: int) -> None:
        self.engine = engine
        self.broadcaster, self.stops = Broadcaster(), Stops()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="kern-db")
        self._when_due: Callable[[], object] = bool

    @property
    def name(self) -> str:
        """The database as it may be shown: without secrets, and as it is given."""
        url = self.engine.url.set(drivername=self.engine.url.get_backend_name())
        secrets = {key: "***" for key in url.query if "password" in key}
        return url.update_query_dict(secrets).render_as_string(hide_password=True)

    @contextmanager
    def when_due(self, act: Callable[[], object]) -> Generator[None]:
        """Have `act` called, in some thread, when a transaction has left something to deliver."""
        self._when_due = act
        try:
            yield
        finally:
            self._when_due = bool

    def is_same(self, other: "Store") -> bool:
        """Whether the rows of both are the same rows."""
        return self is other or self.name == other.name

    async def write(self, transaction: Callable[[Session], Result]) -> Result:
        """Execute a transaction that changes rows; return its result once it is committed."""
        return await self._in_thread(lambda: self.write_now(transaction))

    async def read(self, transaction: Callable[[Session], Result]) -> Result:
        """Execute a transaction that only reads, on one consistent state."""
        return await self._in_thread(lambda: self.read_now(transaction))

    def write_now(self, transaction: Callable[[Session], Result]) -> Result:
        """As `write`, in the calling thread."""
        return self._repeat(lambda: _checked(lambda: self._commit(transaction)))

    def read_now(self, transaction: Callable[[Session], Result]) -> Result:
        """As `read`, in the calling thread."""
        return self._repeat(lambda: _checked(lambda: self._look(transaction)))

    def migrate(self) -> None:
        """Bring the tables up to date; safe to call from several processes at once.

        Raises:
            Unavailable: the database does not answer.
        """
        from kern.db.migrations.migrate import migrate  # noqa: PLC0415  alembic is slow to import

        try:
            migrate(self)
        except OperationalError as error:
            raise self._unavailable(error) from error
        except DatabaseError as error:
            # Those of other kinds are errors in a migration.
            if type(error) is not DatabaseError:
                raise
            message = (
                f"The database {self.name} cannot be read: {error.orig}. Put a copy of it in its "
                "place, or move it away to begin without what it holds."
            )
            raise Unavailable(message) from error

    def close(self) -> None:
        """Give back threads and connections."""
        self._pool.shutdown(wait=True)
        self.engine.dispose()

    def _announce(self, session: Session, news: Mapping[str, int]) -> None:
        """Tell other processes, when the transaction is committed, what it has news of."""

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _commit(self, transaction: Callable[[Session], Result]) -> Result:
        with Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options=self._write_options)
            result = transaction(session)
            session.flush()
            save(session)
            insert_deferred(session)
            news = news_of(session)
            if news:
                self._announce(session, news)
            reach("write.before_commit")
            session.commit()
            self.broadcaster.committed(news)
            self.stops.tell(stopped_in(session))
            reach("write.after_commit")
            if is_due(session):
                self._when_due()
            return result

    def _look(self, transaction: Callable[[Session], Result]) -> Result:
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            session.connection(execution_options=self._read_options)
            return transaction(session)

    def _repeat(self, work: Callable[[], Result]) -> Result:
        begun = time.monotonic()
        for attempt in range(1, _ATTEMPTS):
            try:
                return work()
            except DBAPIError as error:
                if not _is_passing(error):
                    raise
                if isinstance(error, OperationalError) and _has_waited(error, begun):
                    raise self._unavailable(error) from error
                time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311  a jitter, no secret
        try:
            return work()
        except OperationalError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OperationalError) -> Unavailable:
        return Unavailable(
            f"The database {self.name} does not answer: {reason(error)}. It is safe to try again."
        )


def reason(error: DBAPIError) -> str:
    """Return what a database's driver says, without the advice that it adds in further lines."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0].strip().rstrip(".")


def _checked(work: Callable[[], Result]) -> Result:
    """Execute a transaction; what the database cannot keep becomes an error of Kern's own."""
    try:
        return work()
    except (DataError, UnicodeEncodeError) as error:
        why = error.orig if isinstance(error, DataError) else error
        raise InvalidInput(f"A value cannot be stored: {why}.") from error
    except StatementError as error:
        if isinstance(error.orig, KernError):
            raise error.orig from error
        raise


def _has_waited(error: OperationalError, begun: float) -> bool:
    """Whether a server that says nothing, not even why it refuses, was waited for long enough."""
    said = getattr(error.orig, "sqlstate", None)
    return said is None and time.monotonic() - begun > _PATIENCE_SECONDS


def _is_passing(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed at once: it lost a race, or its connection."""
    state = getattr(error.orig, "sqlstate", None)
    return (
        isinstance(error, IntegrityError | OperationalError)
        or error.connection_invalidated
        or state in {"40001", "40P01", "55P03"}
    )
