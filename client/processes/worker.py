"""The process that executes runs: it opens what it stands on, works until stopped, and ends."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, NoReturn

from kern.client.processes.app import database_of, load_app
from kern.client.processes.ending import end
from kern.client.processes.health import Health, HealthServer
from kern.client.processes.services import Services
from kern.client.server.embedded import EmbeddedServer
from kern.client.temporal import connection, logs
from kern.client.temporal.workers import ComponentWorkers
from kern.components.component import Component
from kern.components.registry import registry
from kern.db.engine.from_settings import open_store
from kern.errors import InvalidInput, KernError, Unavailable
from kern.process.logs import get_logger, log_json
from kern.process.settings import Settings, read_settings

_log = get_logger("kern.worker")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0
# What a worker needs after its grace to report that it ended, before it is ended without.
_MARGIN = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(
    settings: Settings,
    app: str,
    *,
    ui: bool = False,
    health_host: str | None = None,
    health_port: int | None = None,
) -> None:
    """Execute the runs of an app's components until SIGTERM or SIGINT, then end gracefully.

    A configured Temporal or database that does not answer yet is waited for. Without
    `TEMPORAL_ADDRESS` the folder's own server is used, and started if none runs. On the first
    signal nothing new is begun, and what executes may end within the grace; a second signal ends
    the process at once. What was torn is found by the next worker: no effect happens twice by it.

    Call it in the main thread, and end the process when it returns: a tool that outlasted the grace
    may still run in one of its threads.

    Args:
        settings: Kern's settings.
        app: What `load_app` takes.
        ui: Also serve Temporal's web pages, when a server has to be started.
        health_host: Where `/healthz` and `/readyz` are served; default: the settings'.
        health_port: On which port; default: the settings', and without one they are not served.

    Raises:
        InvalidInput: The app, a setting or an address is wrong.
        KernError: A worker ended by an error.
    """
    components = load_app(app)
    health = Health()
    server = HealthServer(health)
    port = settings.health_port if health_port is None else health_port
    if port is not None:
        await server.start(health_host or settings.health_host, port)
    stop = asyncio.Event()
    try:
        with _stopping_by_signal(stop):
            await _Work(settings, components, health, stop).until_stopped(ui=ui)
    finally:
        server.close()


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Be a worker: parse the command line, log JSON, serve, and end the process."""
    options = _parse(argv)
    log_json()
    run_process(
        options.app, ui=options.ui, health_host=options.health_host, health_port=options.health_port
    )


def run_process(
    app: str | None,
    *,
    ui: bool = False,
    health_host: str | None = None,
    health_port: int | None = None,
) -> NoReturn:
    """Serve an app and end the process: with 0, or the exit code of the error that ended it.

    Temporal's own log lines go to the logger `temporalio`, as this process has set up logging.
    """
    logs.forward("WARN")

    async def work() -> None:
        settings = read_settings()
        named = app or settings.app
        if named is None:
            message = "No app was named. Pass --app package.module:attribute, or set KERN_APP."
            raise InvalidInput(message)
        await serve(settings, named, ui=ui, health_host=health_host, health_port=health_port)

    async def whole() -> NoReturn:
        # Ended in here: closing the loop would wait for the threads of tools that were left.
        end(await _code_of(work()))

    asyncio.run(whole())
    raise AssertionError


class _Work:
    """The life of one worker: open, execute, close."""

    def __init__(
        self,
        settings: Settings,
        components: Sequence[Component],
        health: Health,
        stop: asyncio.Event,
    ) -> None:
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
        workers.serve(registry.ids)
        self._health.workers = workers
        relay = asyncio.create_task(services.relay.run())
        _log.info("worker_ready", components=registry.ids, database=services.db.name)
        if ui and services.server is not None:
            _say_ui(services.server)
        try:
            await _first_of(self._stop.wait(), workers.wait(), relay)
        finally:
            self._health.stopping = True
            _log.info("worker_stops", grace=self._settings.shutdown_grace_seconds)
            relay.cancel()
            await self._close(workers, services)

    async def _open(self, *, ui: bool) -> Services | None:
        """Open the services, however long they are away; None when it is stopped meanwhile."""
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                services = await Services.open(self._settings, self._db, ui=ui)
                await connection.check_namespace(services.temporal)
            except Unavailable as error:
                _log.warning("worker_waits", seconds=wait, why=str(error))
            else:
                return services
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        return None

    async def _close(self, workers: ComponentWorkers, services: Services) -> None:
        grace = self._settings.shutdown_grace_seconds
        try:
            async with asyncio.timeout(grace + _MARGIN):
                await workers.stop()
        except TimeoutError:
            _log.warning("tools_left", grace=grace, why="They did not end within the grace.")
            if services.server is not None:
                await asyncio.to_thread(services.server.leave)
            return
        await services.close()
        _log.info("worker_stopped")


def _say_ui(server: EmbeddedServer) -> None:
    if server.ui_url is not None:
        _log.info("ui_served", url=server.ui_url)
        return
    why = "The folder's server was started without it: end the processes that use it, and try again"
    _log.warning("ui_not_served", why=why)


async def _first_of(*awaitables: Coroutine[Any, Any, object] | asyncio.Task[None]) -> None:
    """Wait until one of these ends; if it ends by an error, that is raised."""
    tasks = [asyncio.ensure_future(item) for item in awaitables]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    for task in done:
        task.result()


@contextlib.contextmanager
def _stopping_by_signal(stop: asyncio.Event) -> Generator[None]:
    loop = asyncio.get_running_loop()

    def hear(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("ended_at_once", signal=number.name)
            end(128 + number)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _code_of(work: Coroutine[Any, Any, None]) -> int:
    try:
        await work
    except KernError as error:
        _log.error("worker_failed", code=error.code, why=str(error))
        return error.exit_code
    except Exception:  # noqa: BLE001  the process ends here, and says why
        _log.exception("worker_failed", code="error")
        return 1
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="worker.py", description="Execute the runs of an app's components."
    )
    parser.add_argument(
        "--app", help="package.module:attribute or path/to/file.py:attribute (KERN_APP)"
    )
    parser.add_argument("--health-host", help="where health is served (KERN_HEALTH_HOST)")
    parser.add_argument(
        "--health-port", type=int, help="0 for any; none: not served (KERN_HEALTH_PORT)"
    )
    parser.add_argument(
        "--ui", action="store_true", help="serve Temporal's web pages, if a server is started here"
    )
    return parser.parse_args(argv)
