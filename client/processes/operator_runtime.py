"""What answers operators' programs in a process that runs no components."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from kern.client.processes.loop_thread import LoopThread
from kern.client.service.installation import OnDemandDeliverer, open_existing_store
from kern.client.service.service import Service
from kern.process.settings import Settings

Result = TypeVar("Result")


class OperatorRuntime:
    """The service on the configured database, with a thread and an event loop of its own.

    It executes nothing and starts no server. What it cannot deliver to Temporal, a worker does.

    Raises:
        NotFound: nothing was ever kept there, so the settings may name another place than meant.
        Conflict: its tables belong to another version of Kern.
        Unavailable: the database does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = open_existing_store(settings)
        self._service = Service(self._store, OnDemandDeliverer(settings, self._store), settings)
        self._thread = LoopThread("kern-operator")

    def call(self, work: Callable[[Service], Awaitable[Result]]) -> Result:
        """Have an operation done, and wait for it in synchronous code."""
        return self._thread.call(lambda: self._perform(work))

    async def acall(self, work: Callable[[Service], Awaitable[Result]]) -> Result:
        """Have an operation done, whatever loop the caller is on."""
        return await self._thread.acall(lambda: self._perform(work))

    def wait_for_threads(self) -> None:
        """Wait for threads that outlast the main one and wait for answers."""
        self._thread.wait_for_threads()

    def close(self) -> None:
        """Answer no more calls, and let go of the database."""
        if self._thread.is_running:
            self._thread.submit(self._service.close()).result()
            self._thread.end()
            self._store.close()

    async def _perform(self, work: Callable[[Service], Awaitable[Result]]) -> Result:
        return await work(self._service)
