"""Makes this process a worker, with the folder's server where none is configured."""

import asyncio
import logging
import sys
from typing import NoReturn

from kern.client.temporal import connection
from kern.errors import InvalidInput
from kern.process.logs import log_json
from kern.process.settings import read_settings


def serve_app(
    app: str | None,
    *,
    ui: bool,
    health_host: str | None,
    health_port: int | None,
    with_desk: bool = False,
) -> NoReturn:
    """Execute the runs of an app until stopped; the log is JSON on standard error."""
    from kern.client.serving.worker import run_worker

    if not (app or read_settings().app):
        message = "No app was named. Pass --app package.module:attribute, or set KERN_APP."
        raise InvalidInput(message)
    logging.getLogger("kern").setLevel(logging.NOTSET)
    log_json()
    run_worker(
        app,
        ui=ui,
        health_host=health_host,
        health_port=health_port,
        say=_say if with_desk else None,
    )


def serve_api(host: str | None, port: int | None, *, is_open: bool) -> None:
    """Serve the API until stopped; the log is JSON on standard error."""
    from kern.client.serving.process import check_address, serve

    settings = read_settings()
    address = host or settings.host
    is_open = is_open or settings.open
    check_address(address, is_open=is_open)
    logging.getLogger("kern").setLevel(logging.NOTSET)
    log_json()
    number = settings.port if port is None else port
    asyncio.run(serve(settings, address, number, is_open=is_open))


def announce(app: str | None) -> None:
    """Say to the person who started it what is about to run, and how it ends."""
    settings = read_settings()
    where = (
        "the configured Temporal" if connection.is_configured() else f"{settings.home.absolute()}"
    )
    reference = app or settings.app or "no app"
    sys.stderr.write(f"Serving {reference} on {where}. Ctrl-C ends it; what waits stays kept.\n")


def print_link(port: int | None) -> None:
    """Print a link that opens the console of `kern up` or `kern serve` on this machine.

    Raises:
        InvalidInput: the console is served to other machines, where people sign in.
        NotFound: nothing was ever kept here.
    """
    from kern.client.service.installation import existing_service
    from kern.client.serving.links import desk_link

    settings = read_settings()
    if settings.open:
        message = "With KERN_OPEN people sign in with a token: `kern token create`."
        raise InvalidInput(message)
    with existing_service(settings) as service:
        link = asyncio.run(desk_link(service, settings, settings.port if port is None else port))
    sys.stdout.write(f"{link}\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
