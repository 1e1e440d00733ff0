"""A service on a thread of its own, which callers in any thread and on any loop can ask."""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from kern.client.processes.loop_thread import LoopThread


class _Closing(Protocol):
    async def close(self) -> None: ...


ServiceT = TypeVar("ServiceT", bound=_Closing)
Result = TypeVar("Result")


class ServiceThread(Generic[ServiceT]):
    """A service with a thread and an event loop of its own.

    Args:
        service: What answers; it is closed with this.
        name: The thread's name.
    """

    def __init__(self, service: ServiceT, name: str) -> None:
        self._service = service
        self._thread = LoopThread(name)

    def call(self, work: Callable[[ServiceT], Awaitable[Result]]) -> Result:
        """Have an operation done, and wait for it in synchronous code."""
        return self._thread.call(lambda: self._perform(work))

    async def acall(self, work: Callable[[ServiceT], Awaitable[Result]]) -> Result:
        """Have an operation done, whatever loop the caller is on."""
        return await self._thread.acall(lambda: self._perform(work))

    def wait_for_threads(self) -> None:
        """Wait for threads that outlast the main one and wait for answers."""
        self._thread.wait_for_threads()

    def close(self) -> None:
        """Answer no more calls, and close the service; the second time, do nothing."""
        if self._thread.is_running:
            self._thread.submit(self._service.close()).result()
            self._thread.end()
            self._let_go()

    def _let_go(self) -> None:
        """Let go of what the service stood on."""

    async def _perform(self, work: Callable[[ServiceT], Awaitable[Result]]) -> Result:
        return await work(self._service)
