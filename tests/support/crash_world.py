"""What crash tests share: a Temporal server, a model, a zygote, and an event loop to run cases in."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from temporalio.client import Client

from kern.client import temporal
from kern.client.embedded import EmbeddedServer
from kern.db import Database, SqliteDb, database_from_url
from tests.support.crash_app import script
from tests.support.crash_processes import Zygote
from tests.support.model_server import ModelServer

Result = TypeVar("Result")


class World:
    """One Temporal server, one model and one zygote, for any number of cases at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedServer.join(folder / "temporal")
        self.models = ModelServer(script)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crash")
        self._template = folder / "template.db"

    def __enter__(self) -> Self:
        self.models.__enter__()
        self._thread.start()
        self.submit(self._open()).result(60)
        return self

    def __exit__(self, *_error: object) -> None:
        self.submit(self.zygote.close()).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.models.__exit__(None, None, None)
        self.server.leave()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin to do something on the world's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def sqlite(self, folder: Path) -> str:
        """Return the URL of a new SQLite database that has its tables already."""
        path = folder / "kern.db"
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"

    async def _open(self) -> None:
        self.zygote = await Zygote.start()
        self.temporal: Client = await temporal.connect(self.server.address)
        self.limit = asyncio.Semaphore(_AT_ONCE)
        await asyncio.to_thread(migrate, lambda: SqliteDb(self._template))


_AT_ONCE = 6


def migrate(make: Callable[[], Database]) -> None:
    """Make the tables of a database, and let go of it."""
    db = make()
    db.migrate()
    db.close()


def open_database(url: str) -> Database:
    """Open a database as the processes do."""
    return database_from_url(url)
