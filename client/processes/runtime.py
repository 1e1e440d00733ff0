"""This process's runtime.

An event loop in a thread, with everything that executes and follows runs.
"""

import asyncio
import atexit
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from kern.client.processes.calls import Calls
from kern.client.processes.ending import end
from kern.client.processes.services import Services
from kern.client.service.decision_checks import check_edits
from kern.client.service.reading import RunReader
from kern.client.service.runs import viewer_of
from kern.client.temporal import connection
from kern.client.temporal.supervision import kept_alive
from kern.client.temporal.workers import ComponentWorkers
from kern.components.component import Component
from kern.components.registry import Registry, registry
from kern.components.runner import EventReader, SessionRunner, Show
from kern.contracts.database import Database
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.db.engine.databases import store_of
from kern.db.engine.store import Store
from kern.errors import InvalidDefinition, KernError, Unavailable
from kern.events import RunEvent
from kern.process.logs import get_logger
from kern.process.settings import Settings, read_settings
from kern.requirements import Requirement
from kern.run import RunOutput, StepExecution

_log = get_logger("kern.runtime")

Result = TypeVar("Result")

_CLOSE_MARGIN = 15.0
_INTERRUPTED = 130
_LAST_MARGIN = 2.0
# A close that takes longer is told of.
_CLOSES_WITHIN_SECONDS = 3.0


class Runtime:
    """Runs components, and executes them in this process unless a cluster is configured.

    It has a thread and an event loop of its own, so that neither a caller's blocking code nor its
    event loop's end touches runs. All methods may be called from any thread.
    """

    def __init__(self, settings: Settings, db: Store | None, known: Registry = registry) -> None:
        self._settings = settings
        self._registry = known
        self._known: dict[str, Component] = {}
        self._loop = asyncio.new_event_loop()
        self._calls = Calls(self._loop)
        self._thread = threading.Thread(target=self._turn, name="kern", daemon=True)
        self._thread.start()
        self._workers: ComponentWorkers | None = None
        self._relay: asyncio.Task[None] | None = None
        opening = self._submit(self._open(db))
        try:
            opening.result()
        except KernError as error:
            self._give_up(opening)
            # It says what to do; the way that it came, through two threads, says nothing.
            raise error.with_traceback(None) from None
        except BaseException:
            self._give_up(opening)
            raise

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
        self._registry.register(component)
        if self._workers is not None:
            self._submit(self._serve()).result()
        self._known[component.id] = component

    def knows(self, component: Component) -> bool:
        """Whether this very component was added before."""
        return self._known.get(component.id) is component

    def call(self, awaitable: Awaitable[Result]) -> Result:
        """Wait for `awaitable` from synchronous code.

        Raises:
            KernError: it was called from the runtime's own thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            message = (
                "A synchronous method of Kern was called inside its event loop: use the method "
                "that begins with 'a'."
            )
            raise KernError(message)
        work = awaitable if isinstance(awaitable, Coroutine) else _as_coroutine(awaitable)
        answer = self._calls.submit(work)
        try:
            return answer.result()
        finally:
            # After a Ctrl-C nobody waits for it any more.
            answer.cancel()

    async def run(
        self, component: Component, request: RunRequest, *, background: bool
    ) -> RunOutput:
        """Accept a run, and wait for its first stop unless it goes on in the background."""
        return await self._here(
            lambda: self.services.runs.run(component, request, background=background)
        )

    async def continue_run(
        self,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
        user_id: str | None,
    ) -> RunOutput:
        """Submit what was filled in and wait for the next stop."""
        runs = self.services.runs
        check_edits(component, requirements)
        return await self._here(
            lambda: runs.continue_run(run_id, requirements, user_id, component.id)
        )

    async def cancel_run(self, component: Component, run_id: str, user_id: str | None) -> RunOutput:
        """Cancel a run; it is stored when this returns."""
        viewer = Viewer(user_id, component_id=component.id)
        return await self._here(lambda: self.services.runs.cancel(run_id, viewer))

    async def retry_run(self, component: Component, run_id: str, user_id: str | None) -> RunOutput:
        """Have a pipeline that failed go on where it failed, and wait for its next stop."""
        viewer = Viewer(user_id, component_id=component.id)
        return await self._here(lambda: self.services.runs.retry(run_id, viewer))

    async def get_run_output(
        self, component: Component, run_id: str, user_id: str | None
    ) -> RunOutput:
        """Read a run."""
        viewer = Viewer(user_id, component_id=component.id)
        return await self._here(lambda: self.services.runs.output(run_id, viewer))

    async def get_steps(
        self, component: Component, run_id: str, user_id: str | None, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a pipeline has opened."""
        viewer = Viewer(user_id, component_id=component.id)
        runs = self.services.runs
        return await self._here(lambda: runs.steps(run_id, viewer, limit, after))

    async def with_sessions(self, work: Callable[[SessionRunner], Awaitable[Result]]) -> Result:
        """Do something with sessions."""
        return await self._here(lambda: _as_coroutine(work(self.services.sessions)))

    async def stream(self, component: Component, request: RunRequest, show: Show) -> EventReader:
        """Accept a run, and read its events until it stands still."""
        return await self._reader(lambda: self.services.streams.run(component, request, show))

    async def stream_continued(
        self,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
        user_id: str | None,
        show: Show,
    ) -> EventReader:
        """Submit what was filled in, and read what follows until the run stands still."""
        viewer = viewer_of(requirements, user_id, component.id)
        streams = self.services.streams
        return await self._reader(lambda: streams.continue_run(run_id, requirements, viewer, show))

    async def stream_run(
        self, component: Component, run_id: str, after: int, user_id: str | None, show: Show
    ) -> EventReader:
        """Read a run's events after a number until it stands still."""
        viewer = Viewer(user_id, component_id=component.id)
        return await self._reader(lambda: self.services.readers.open(run_id, viewer, after, show))

    async def _reader(self, opening: Callable[[], Coroutine[Any, Any, RunReader]]) -> EventReader:
        return _Bridged(await self._here(opening), self._here)

    def wait_for_threads(self) -> None:
        """Wait for threads that outlast the main one and wait for answers."""
        self._calls.wait_for_threads()

    def close(self) -> None:
        """Stop executing, let what executes come to its end, and leave the folder's server.

        What outlasts the grace is left, and asked about or repeated by whoever comes next.
        """
        if self._loop.is_closed() or not self._thread.is_alive():
            return
        grace = self._settings.shutdown_grace_seconds
        closing = self._submit(self._close())
        try:
            if not wait([closing], _CLOSES_WITHIN_SECONDS).done:
                _log.warning(
                    "runtime_closes",
                    why=f"What executes has {grace:g} seconds to end; Ctrl-C leaves it at once.",
                )
            if not wait([closing], grace + _CLOSE_MARGIN).done:
                _log.warning("tools_left", grace=grace, why="They did not end within the grace.")
                return
            closing.result()
        finally:
            # Also where something did not end in time.
            with suppress(TimeoutError):
                self._submit(self._calls.end()).result(_LAST_MARGIN)
            self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_MARGIN)

    def _turn(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _open(self, db: Store | None) -> None:
        services = await Services.open(self._settings, db, lazy=True)
        if not connection.is_configured():
            self._workers = ComponentWorkers(
                services.temporal, services.db, self._registry, self._settings, lasting=True
            )
            services.waiting.listen()
            self._relay = asyncio.create_task(kept_alive("the relay", services.relay.run))
        self.services = services

    def _give_up(self, opening: Future[None]) -> None:
        """Let what was begun come to its end, also when a Ctrl-C interrupted whoever waited.

        An interpreter that ends inside a call of the SDK makes the SDK's native part panic.
        """
        if opening.exception() is None:
            self.close()
        else:
            self._end_thread()

    async def _serve(self) -> None:
        if self._workers is not None:
            self._workers.serve(self._registry.ids)

    async def _close(self) -> None:
        stopping: asyncio.Task[None] | None = None
        if self._relay is not None:
            self._relay.cancel()
        if self._workers is not None:
            await self.services.waiting.settle()
            stopping = asyncio.create_task(self._workers.stop())
            # What comes to its end within the grace is still told to those who wait for it.
            await asyncio.wait({stopping}, timeout=self._settings.shutdown_grace_seconds)
        await self.services.readers.close()
        await self._calls.end()
        if stopping is not None:
            await stopping
        await self.services.close()

    async def _here(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Do work on the runtime's loop, whatever loop the caller is on."""
        if asyncio.get_running_loop() is self._loop:
            return await work()
        return await asyncio.wrap_future(self._calls.submit(work()))

    def _submit(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


class _Bridged:
    """A reader on the runtime's loop, for callers on any other."""

    def __init__(
        self,
        reader: RunReader,
        here: Callable[
            [Callable[[], Coroutine[Any, Any, Sequence[RunEvent]]]],
            Coroutine[Any, Any, Sequence[RunEvent]],
        ],
    ) -> None:
        self._reader, self._here = reader, here

    async def read(self) -> Sequence[RunEvent]:
        return await self._here(self._reader.read)

    def close(self) -> None:
        self._reader.close()


_lock = threading.Lock()
_runtime: Runtime | None = None
_is_over = False


def runtime_for(component: Component) -> Runtime:
    """Return this process's runtime with `component` in it, starting it at the first call."""
    global _runtime  # noqa: PLW0603  a process has one runtime
    running = running_for(component)
    if running is not None:
        return running
    with _lock:
        if _is_over:
            message = "This process ends: no runs are begun in it any more."
            raise Unavailable(message)
        if _runtime is None:
            _runtime = Runtime(read_settings(), _store(component.db))
            _at_exit(_leave)
        _runtime.add(component)
        return _runtime


def running_for(component: Component) -> Runtime | None:
    """Return this process's runtime if `component` is in it already; never waits for anything."""
    runtime = _runtime
    return runtime if runtime is not None and runtime.knows(component) else None


@contextmanager
def isolated(home: Path, db: Database | None) -> Generator[Runtime]:
    """Put a runtime of its own in this process's place while the block lasts."""
    global _runtime  # noqa: PLW0603  a process has one runtime
    own = Runtime(Settings(home=home), _store(db), Registry())
    with _lock:
        before, _runtime = _runtime, own
    try:
        yield own
    finally:
        with _lock:
            _runtime = before
        own.close()


def _store(database: Database | None) -> Store | None:
    return None if database is None else store_of(database)


def close_runtime() -> None:
    """Close this process's runtime; the next run starts another one."""
    global _runtime
    with _lock:
        closing, _runtime = _runtime, None
    if closing is not None:
        closing.close()
        # Objects of the SDK that outlive the interpreter abort it (exit code 134).
        del closing
        gc.collect()
        time.sleep(0.1)


def _leave() -> None:
    """Close as the interpreter ends, which waits for threads that may wait for runs."""
    global _is_over  # noqa: PLW0603  a process ends once
    try:
        if _runtime is not None:
            _runtime.wait_for_threads()
        with _lock:
            _is_over = True
        close_runtime()
    except KeyboardInterrupt:
        # Whoever presses Ctrl-C now does not want to wait for that.
        end(_INTERRUPTED)


def _at_exit(close: Callable[[], None]) -> None:
    """Close before the interpreter ends its thread pools, without which nothing closes."""
    before_threads = getattr(threading, "_register_atexit", None)
    (before_threads or atexit.register)(close)


async def _as_coroutine(awaitable: Awaitable[Result]) -> Result:
    return await awaitable
