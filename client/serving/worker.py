"""A worker process from its command line on: what it executes, and what it serves beside that."""

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from kern.client.processes.worker import Companion, run_process
from kern.process.logs import log_json
from kern.process.settings import Settings


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a worker process: parse the command line, log JSON, serve, and exit."""
    options = _parse(argv)
    log_json()
    run_worker(
        options.app, ui=options.ui, health_host=options.health_host, health_port=options.health_port
    )


def run_worker(
    app: str | None,
    *,
    ui: bool = False,
    health_host: str | None = None,
    health_port: int | None = None,
    say: Callable[[str], None] | None = None,
) -> NoReturn:
    """Execute the runs of an app until stopped, and exit.

    Args:
        app: The app, as `load_app` takes it; default: the settings'.
        ui: Also serve Temporal's web pages, if a server has to be started.
        health_host: The address for `/healthz` and `/readyz`; default: the settings'.
        health_port: The port for them; default: the settings'. Without one they are not served.
        say: Tells the person who started it with which link the console opens; None serves none.
    """

    def companion(settings: Settings) -> Companion:
        # Slow to import, and a worker without a port needs none of it.
        if say is None and settings.health_port is None and health_port is None:
            return Companion()
        from kern.client.serving.companion import DeskCompanion, HealthCompanion  # noqa: PLC0415

        if say is None:
            return HealthCompanion(settings, health_host, health_port)
        return DeskCompanion(settings, health_host, health_port, say)

    run_process(app, companion, ui=ui)


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
