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
        options: What chooses another address, as an error names it.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: str = "--port or KERN_PORT, and an address with --host or KERN_HOST",
    ) -> None:
        self._options = options
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
        self._socket: socket.socket | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; port 0 chooses a free one.

        Raises:
            InvalidInput: the address cannot be listened on.
        """
        self._socket = _listen(host, port, self._options)
        bound: int = self._socket.getsockname()[1]
        self._serving = asyncio.create_task(self._uvicorn.serve([self._socket]))
        _log.info("web_listening", host=host, port=bound)
        return bound

    async def stop(self) -> None:
        """Take no more requests, end the streams, and let what is under way end."""
        self._stopping.event.set()
        self._uvicorn.should_exit = True
        if self._serving is not None:
            await self._serving
        # uvicorn leaves it open if it is stopped before it has begun.
        if self._socket is not None:
            self._socket.close()


def _listen(host: str, port: int, options: str) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        message = (
            f"The port {port} on {host!r} cannot be used: {error.strerror or error}. Choose "
            f"another with {options}."
        )
        raise InvalidInput(message) from error
