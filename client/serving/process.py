"""`kern serve`: a process that serves the API and the console, and executes nothing."""

import asyncio
import signal

from kern.client.console.addresses import DESK
from kern.client.identity.sign_on import configured_sign_on
from kern.client.service.installation import existing_service
from kern.client.serving.application import application
from kern.client.serving.links import site
from kern.client.web.server import WebServer
from kern.errors import InvalidInput
from kern.process.logs import get_logger
from kern.process.settings import LOOPBACK, Settings

_log = get_logger("kern.web")

_NOBODY = (
    "There is no token and no identity provider, so nobody can sign in or call the API. Make a "
    "token with `kern token create`, or set KERN_OIDC_ISSUER and serve again."
)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: Settings, host: str, port: int, *, is_open: bool) -> None:
    """Serve the API and the console on an address until SIGTERM or SIGINT.

    Raises:
        InvalidInput: the address cannot be used.
        NotFound: nothing was ever kept where the settings say.
        KernError: the database cannot be used.
    """
    sign_on = configured_sign_on(settings, is_open=is_open)
    with existing_service(settings) as service:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop.set)
        await service.feed.start()
        app = application(
            service,
            public_url=settings.public_url,
            is_open=is_open,
            sign_on=sign_on,
            fresh_seconds=settings.fresh_sign_in_seconds,
        )
        server = WebServer(app)
        bound = await server.start(host, port)
        address = site(settings, bound, host)
        if sign_on is None and not await service.access.has_tokens():
            _log.warning("nobody_can_come_in", todo=_NOBODY)
        _log.info("api_served", url=f"{address}/v1", desk=f"{address}{DESK}")
        try:
            await stop.wait()
        finally:
            await server.stop()
            await service.close()


def check_address(host: str, *, is_open: bool) -> None:
    """Refuse to serve beyond this machine unless that was asked for.

    Raises:
        InvalidInput: the address is no loopback address, and nobody said that it may be.
    """
    if host in LOOPBACK or is_open:
        return
    message = (
        f"The address {host!r} is reached from other machines. Put a proxy with TLS in front of "
        "Kern, and pass --open (or KERN_OPEN=true) to say so; or serve on 127.0.0.1."
    )
    raise InvalidInput(message)
