"""A real Temporal development server for tests, which can be killed and brought back."""

import os
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from kern.client.server.embedded import EmbeddedServer
from kern.client.server.process import birth_of, servers_below, stop
from tests.support.waiting import wait_until


class TemporalServer:
    """A server on a file and a port that stay the same through `kill` and `restart`."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer.join(folder)

    @property
    def address(self) -> str:
        """What `TEMPORAL_ADDRESS` has to be."""
        return self._server.address

    def kill(self) -> None:
        """End the server with SIGKILL."""
        pid = self._server.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: birth_of(pid) is None)

    def restart(self) -> None:
        """Start the server again on the same file and port; return when it serves."""
        self._server.ensure()

    def stop(self) -> None:
        """End the server for good; politely would take more than a second."""
        stop(self._server.pid, grace=0)
        self._server.leave()


def stop_servers_below(folder: Path) -> list[Path]:
    """End the servers whose files lie anywhere below a folder, and return these files."""
    found = list(servers_below(folder))
    for pid, _ in found:
        stop(pid, grace=0)
    return [file for _, file in found]


@contextmanager
def temporal_server() -> Generator[TemporalServer]:
    """Have a server for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="kern-temporal-") as folder:
        server = TemporalServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()
