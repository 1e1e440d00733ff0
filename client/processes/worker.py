"""The worker process: it opens its services, executes runs until it is stopped, and exits."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, NoReturn

from kern.client.processes.app import database_of, load_app
from kern.client.processes.exit import exit_now
from kern.client.processes.health import Health
from kern.client.processes.presence import Presence
from kern.client.processes.services import Services
from kern.client.server.embedded import EmbeddedServer
from kern.client.service.service import Service
from kern.client.temporal import connection, logs
from kern.client.temporal.workers import ComponentWorkers
from kern.components.component import Component
from kern.components.registry import registry
from kern.db.engine.from_settings import open_store
from kern.errors import InvalidInput, KernError, Unavailable
from kern.process.logs import get_logger
from kern.process.settings import Settings, read_settings

_log = get_logger("kern.worker")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0
# For how long, after the grace, a worker may report to Temporal that it has stopped.
_REPORT_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Companion:
    """What a process serves beside its work: nothing, unless it is one of another kind."""

    async def start(self, health: Health) -> None:
        """Begin before anything is opened.

        Raises:
            InvalidInput: an address cannot be used.
        """

    async def ready(self, service: Service) -> None:
        """Continue with the process's service, which is open now."""

    async def stop(self) -> None:
        """End, before the services are closed."""


async def serve(
    settings: Settings, app: str, companion: Companion | None = None, *, ui: bool = False
) -> None:
    """Execute the runs of an app's components until SIGTERM or SIGINT, then end gracefully.

    It waits for a configured Temporal or database that does not answer yet. Without
    `TEMPORAL_ADDRESS` it uses the folder's own server, and starts one if none runs. After the first
    signal it takes no new tasks, and what executes may end within the grace; a second signal ends
    the process at once. The next worker takes up what was interrupted, and no effect happens twice.

    Call it in the main thread, and end the process when it returns: a tool that outlasted the grace
    may still run in one of its threads.

    Args:
        settings: Kern's settings.
        app: The app, as `load_app` takes it.
        companion: What is served beside; default: nothing.
        ui: Also serve Temporal's web pages, if a server has to be started.

    Raises:
        InvalidInput: The app, a setting or an address is wrong.
        KernError: A worker was ended by an error.
    """
    components = load_app(app)
    health, companion = Health(), companion or Companion()
    await companion.start(health)
    stop = asyncio.Event()
    try:
        with _stop_by_signal(stop):
            await _Work(settings, components, health, stop, companion).until_stopped(ui=ui)
    finally:
        await companion.stop()


def run_process(
    app: str | None, companion: Callable[[Settings], Companion], *, ui: bool = False
) -> NoReturn:
    """Serve an app and exit: with 0, or with the exit code of the error that ended the worker.

    Temporal's warnings go to Python's logging too, which a worker process has configured.

    Args:
        app: The app, as `load_app` takes it; default: the settings'.
        companion: Makes what is served beside, from the settings.
        ui: Also serve Temporal's web pages, if a server has to be started.
    """
    logs.forward("WARN")

    async def work() -> None:
        settings = read_settings()
        reference = app or settings.app
        if reference is None:
            message = "No app was named. Pass --app package.module:attribute, or set KERN_APP."
            raise InvalidInput(message)
        await serve(settings, reference, companion(settings), ui=ui)

    async def work_and_exit() -> NoReturn:
        # Inside the loop: closing it would wait for the threads of tools that outlasted the grace.
        exit_now(await _exit_code_of(work()))

    asyncio.run(work_and_exit())
    raise AssertionError


class _Work:
    """The life of one worker: open, execute, close."""

    def __init__(
        self,
        settings: Settings,
        components: Sequence[Component],
        health: Health,
        stop: asyncio.Event,
        companion: Companion,
    ) -> None:
        self._companion = companion
        self._settings = settings
        self._db = database_of(components) or open_store(settings)
        self._health = health
        self._stop = stop
        health.watch_database(self._db)

    async def until_stopped(self, *, ui: bool) -> None:
        services = await self._open(ui=ui)
        if services is None:
            return
        self._health.watch_temporal(services.temporal)
        workers = ComponentWorkers(services.temporal, services.db, registry, self._settings)
        await workers.serve(registry.ids)
        self._health.workers = workers
        relay = asyncio.create_task(services.relay.run())
        outbound = asyncio.create_task(services.outbound.run())
        presence = Presence(services.db, registry)
        reporting = asyncio.create_task(presence.run())
        _log.info("worker_ready", components=registry.ids, database=services.db.name)
        if ui and services.server is not None:
            _log_ui(services.server)
        try:
            await self._companion.ready(services.service)
            await _first_of(self._stop.wait(), workers.wait(), relay, outbound)
        finally:
            self._health.stopping = True
            _log.info("worker_stopping", grace=self._settings.shutdown_grace_seconds)
            relay.cancel()
            outbound.cancel()
            reporting.cancel()
            await presence.leave()
            await self._companion.stop()
            await self._close(workers, services)

    async def _open(self, *, ui: bool) -> Services | None:
        """Open the services, waiting for as long as they are away; None if stopped meanwhile."""
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                services = await Services.open(self._settings, self._db, ui=ui)
                await connection.check_namespace(services.temporal)
            except Unavailable as error:
                _log.warning("worker_waiting", seconds=wait, why=str(error))
            else:
                return services
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        return None

    async def _close(self, workers: ComponentWorkers, services: Services) -> None:
        grace = self._settings.shutdown_grace_seconds
        try:
            async with asyncio.timeout(grace + _REPORT_SECONDS):
                await workers.stop()
        except TimeoutError:
            _log.warning("tools_abandoned", grace=grace, why="They did not end within the grace.")
            if services.server is not None:
                await asyncio.to_thread(services.server.leave)
            return
        await services.close()
        _log.info("worker_stopped")


def _log_ui(server: EmbeddedServer) -> None:
    if server.ui_url is not None:
        _log.info("ui_served", url=server.ui_url)
        return
    why = (
        "The folder's server was started without it: stop the processes that use it, then try again"
    )
    _log.warning("ui_unavailable", why=why)


async def _first_of(*awaitables: Coroutine[Any, Any, object] | asyncio.Task[None]) -> None:
    """Wait until one of these ends; raise its error if it has one."""
    tasks = [asyncio.ensure_future(item) for item in awaitables]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


@contextlib.contextmanager
def _stop_by_signal(stop: asyncio.Event) -> Generator[None]:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("exit_forced", signal=number.name)
            exit_now(128 + number)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _exit_code_of(work: Coroutine[Any, Any, None]) -> int:
    try:
        await work
    except KernError as error:
        _log.error("worker_failed", code=error.code, why=str(error))
        return error.exit_code
    except Exception:  # noqa: BLE001  the process ends here, and logs why
        _log.exception("worker_failed", code="error")
        return 1
    return 0
