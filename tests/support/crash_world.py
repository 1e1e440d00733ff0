"""What crash tests share: a Temporal server, a model, processes, and a loop to run cases in."""

import asyncio
import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from temporalio.client import Client

from kern.client.server.embedded import EmbeddedServer, status
from kern.client.server.process import stop
from kern.client.temporal import connection
from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore
from kern.errors import Unavailable
from tests.support.crash_app import script
from tests.support.crash_processes import Child, environment
from tests.support.crash_spec import Spec
from tests.support.model_server import ModelServer
from tests.support.postgres import Postgres
from tests.support.templates import postgres_with_tables, sqlite_with_tables
from tests.support.waiting import wait_until

Result = TypeVar("Result")

# Most of a case is waiting: until a death is noticed, until a retry is due.
_AT_ONCE = 10


class World:
    """One Temporal server and one model, for any number of cases and their processes at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "temporal"
        self.server = EmbeddedServer.join(self.home)
        self.models = ModelServer(script)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crash")
        self._guard = threading.Lock()
        # Read once: pytest changes the environment while cases would read it.
        self._environment = environment()
        self._begun: set[asyncio.Task[Any]] = set()
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        self.models.__enter__()
        self._thread.start()
        self.submit(self._open()).result(60)
        return self

    def __exit__(self, *_error: object) -> None:
        self.submit(self._close()).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.models.__exit__(None, None, None)
        stop(self.server.pid, grace=0)
        self.server.leave()

    def crash_server(self) -> None:
        """Kill the Temporal server, and have it back on the same files and port.

        Workers that live do the same at the same time; one of them is the first.
        """
        os.kill(self.server.pid, signal.SIGKILL)
        wait_until(self._is_back, timeout=60)

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin to do something on the world's event loop."""
        return asyncio.run_coroutine_threadsafe(self._noted(work), self._loop)

    def fork(self, spec: Spec) -> Child:
        """Start a process, which does not outlive the world."""
        child = Child(spec, self._environment)
        self._children.append(child)
        return child

    def fresh(self, kind: str) -> tuple[Path, str]:
        """Return a new folder, and the URL of a new database that has its tables already."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        with self._guard:
            if kind == "postgres":
                return folder, postgres_with_tables()
            path = folder / "kern.db"
            sqlite_with_tables(path).close()
            return folder, f"sqlite:///{path}"

    def fresh_on(self, postgres: Postgres) -> tuple[Path, str]:
        """As `fresh`, on a server that the caller started."""
        with self._guard:
            url = postgres.fresh_database()
            migrate(PostgresStore(url))
        return Path(tempfile.mkdtemp(dir=self.folder)), url

    def _is_back(self) -> bool:
        with contextlib.suppress(Unavailable):
            self.server.ensure()
            return status(self.home).answers
        return False

    async def _noted(self, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.current_task()
        assert task is not None
        self._begun.add(task)
        try:
            return await work
        finally:
            self._begun.discard(task)

    async def _close(self) -> None:
        """Give up what nobody waited for, and end all processes."""
        left = [task for task in self._begun if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for child in self._children:
            await child.kill()

    async def _open(self) -> None:
        self.temporal: Client = await connection.connect(self.server.address)
        self.limit = asyncio.Semaphore(_AT_ONCE)


def migrate(db: Store) -> None:
    """Make the tables of a database, and let go of it."""
    db.migrate()
    db.close()
