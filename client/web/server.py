"""The HTTP server inside a process that has other things to do, and stops when that stops."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from kern.client.web.stopping import Stopping
from kern.errors import InvalidInput
from kern.process.logs import get_logger

_log = get_logger("kern.web")

# After a stop, streams that have not ended are cut.
_GRACE_SECONDS = 5


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class WebServer:
    """Serves an application on one address.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._stopping = Stopping(app)
        config = uvicorn.Config(
            self._stopping,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._uvicorn = _Uvicorn(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; port 0 chooses a free one.

        Raises:
            InvalidInput: the address cannot be listened on.
        """
        listening = _listen(host, port)
        bound: int = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._uvicorn.serve([listening]))
        _log.info("web_listening", host=host, port=bound)
        return bound

    async def stop(self) -> None:
        """Take no more requests, end the streams, and let what is under way end."""
        self._stopping.event.set()
        self._uvicorn.should_exit = True
        if self._serving is not None:
            await self._serving


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        message = (
            f"The port {port} on {host!r} cannot be used: {error.strerror or error}. Choose "
            "another with --port or KERN_PORT, and an address with --host or KERN_HOST."
        )
        raise InvalidInput(message) from error
