"""A runtime: everything with which a process runs components, and executes them if it may."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from kern.client.processes.loop_thread import LoopThread
from kern.client.processes.presence import Presence
from kern.client.processes.services import Services
from kern.client.service.runtime_service import RuntimeService
from kern.client.temporal import connection
from kern.client.temporal.supervision import supervise
from kern.client.temporal.workers import ComponentWorkers
from kern.components.component import Component
from kern.components.registry import Registry, registry
from kern.db.engine.databases import store_of
from kern.db.engine.store import Store
from kern.errors import InvalidDefinition, KernError
from kern.process.logs import get_logger
from kern.process.settings import Settings

_log = get_logger("kern.runtime")

Result = TypeVar("Result")

_CLOSE_MARGIN = 15.0
# A close that takes longer is reported.
_CLOSES_WITHIN_SECONDS = 3.0


class Runtime:
    """Runs components, and executes them in this process unless a cluster is configured.

    All methods may be called from any thread.
    """

    def __init__(
        self, settings: Settings, db: Store | None, components: Registry = registry
    ) -> None:
        self._settings = settings
        self._registry = components
        # Those that this process has dropped are dropped here, too.
        self._components: WeakValueDictionary[str, Component] = WeakValueDictionary()
        self._thread = LoopThread("kern")
        self._workers: ComponentWorkers | None = None
        self._presence: Presence | None = None
        # What goes on until the runtime closes.
        self._lasting: list[asyncio.Task[None]] = []
        opening = self._thread.submit(self._open(db))
        try:
            opening.result()
        except KernError as error:
            self._give_up(opening)
            # It says what to do; the way that it came, through two threads, says nothing.
            raise error.with_traceback(None) from None
        except BaseException:
            self._give_up(opening)
            raise

    @property
    def service(self) -> RuntimeService:
        """What can be asked for here; to be used on the runtime's own loop, through `call`."""
        return self.services.service

    def add(self, component: Component) -> None:
        """Make a component known, and execute its runs here.

        Raises:
            InvalidDefinition: its id is taken, or it names another database than this runtime's.
        """
        if component.db is not None and not store_of(component.db).is_same(self.services.db):
            message = (
                f"The component {component.id!r} names the database {component.db.name}, but this "
                "process already uses "
                f"{self.services.db.name}: one process keeps its runs in one database. Leave db= "
                "out, or use one."
            )
            raise InvalidDefinition(message)
        if self._workers is not None:
            self._require_room(component)
        self._registry.register(component)
        if self._workers is not None:
            self._thread.submit(self._serve()).result()
        self._components[component.id] = component

    def has(self, component: Component) -> bool:
        """Whether this very component was added before."""
        return self._components.get(component.id) is component

    def call(self, work: Callable[[RuntimeService], Awaitable[Result]]) -> Result:
        """Have an operation done, and wait for it in synchronous code.

        Raises:
            KernError: it was called from the runtime's own thread, which would wait for itself.
        """
        return self._thread.call(lambda: self._perform(work))

    async def acall(self, work: Callable[[RuntimeService], Awaitable[Result]]) -> Result:
        """Have an operation done, whatever loop the caller is on."""
        return await self._thread.acall(lambda: self._perform(work))

    def wait_for_threads(self) -> None:
        """Wait for threads that outlast the main one and wait for answers."""
        self._thread.wait_for_threads()

    def close(self) -> None:
        """Stop executing, let what executes come to its end, and leave the folder's server.

        What outlasts the grace is left, and asked about or repeated by whoever comes next.
        """
        if not self._thread.is_running:
            return
        grace = self._settings.shutdown_grace_seconds
        closing = self._thread.submit(self._close())
        try:
            if not wait([closing], _CLOSES_WITHIN_SECONDS).done:
                _log.warning(
                    "runtime_closes",
                    why=f"What executes has {grace:g} seconds to end; Ctrl-C leaves it at once.",
                )
            if not wait([closing], grace + _CLOSE_MARGIN).done:
                _log.warning(
                    "tools_abandoned", grace=grace, why="They did not end within the grace."
                )
                return
            closing.result()
        finally:
            self._thread.end()

    async def _perform(self, work: Callable[[RuntimeService], Awaitable[Result]]) -> Result:
        return await work(self.service)

    async def _open(self, db: Store | None) -> None:
        services = await Services.open(self._settings, db, lazy=True)
        if not connection.is_configured():
            self._workers = ComponentWorkers(
                services.temporal, services.db, self._registry, self._settings, lasting=True
            )
            services.waiting.listen()
            self._last(supervise("the relay", services.relay.run))
            self._last(supervise("outbound", services.outbound.run))
        else:
            self._registry.keeps_orphans = False
        self.services = services

    def _require_room(self, component: Component) -> None:
        """Refuse a component if the process has too many workers already.

        Raises:
            InvalidDefinition: it has; the message says what to do.
        """
        ids, limit = self._registry.ids, self._settings.worker_limit
        if len(ids) + len(self._registry.added_by(component)) <= limit:
            return
        message = (
            f"This process executes {len(ids)} components, each with a worker of its own, and has "
            f"no room for {component.id!r}. Declare a component once, where the program starts, "
            "with an id=, and pass what differs between requests with the run: dependencies=, the "
            "session's state or the input. If the program needs so many, raise KERN_WORKER_LIMIT "
            f"({limit})."
        )
        raise InvalidDefinition(message)

    def _give_up(self, opening: Future[None]) -> None:
        """Let what was begun come to its end, also when a Ctrl-C interrupted whoever waited.

        An interpreter that ends inside a call of the SDK makes the SDK's native part panic.
        """
        if opening.exception() is None:
            self.close()
        else:
            self._thread.end()

    async def _serve(self) -> None:
        if self._workers is None:
            return
        await self._workers.serve(self._registry.ids)
        if self._presence is None:
            self._presence = Presence(self.services.db, self._registry)
            self._workers.on_change = self._presence.changed
            self._last(self._presence.run())
        self._presence.changed()

    def _last(self, work: Coroutine[Any, Any, None]) -> None:
        self._lasting.append(asyncio.create_task(work))

    async def _close(self) -> None:
        stopping: asyncio.Task[None] | None = None
        for task in self._lasting:
            task.cancel()
        if self._presence is not None:
            await self._presence.leave()
        if self._workers is not None:
            await self.services.waiting.settle()
            stopping = asyncio.create_task(self._workers.stop())
            # What comes to its end within the grace is still reported to those who wait for it.
            await asyncio.wait({stopping}, timeout=self._settings.shutdown_grace_seconds)
        await self.service.readers.close()
        await self._thread.refuse_calls()
        if stopping is not None:
            await stopping
        if self._lasting:
            # Otherwise the loop closes over them, and asyncio says so where a user reads.
            await asyncio.wait(self._lasting, timeout=1)
        await self.services.close()
