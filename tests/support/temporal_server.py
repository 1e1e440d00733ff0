"""A real Temporal development server for tests, which can be killed and brought back."""

import os
import signal
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from kern.client.server.embedded import EmbeddedServer
from kern.client.server.locks import SERVER_LOCK, exclusive
from kern.client.server.process import DATABASE, birth_of, servers_below, stop
from tests.support.waiting import wait_until


class TemporalServer:
    """A server on a file and a port that stay the same through `kill` and `restart`."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer.join(folder)
        self._folder = folder

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

    def copy(self, path: Path) -> None:
        """Write a copy of all that it knows now, while it serves."""
        live = sqlite3.connect(f"file:{self._folder / DATABASE}?mode=ro", uri=True, timeout=30)
        with closing(live), closing(sqlite3.connect(path)) as copy:
            live.backup(copy)

    def restore(self, copy: Path) -> None:
        """Kill the server, and have it back as an older copy has it."""
        # Whoever else keeps the folder's server alive waits meanwhile.
        with exclusive(self._folder / SERVER_LOCK, timeout=30):
            self.kill()
            for path in self._folder.glob(f"{DATABASE}*"):
                path.unlink()
            (self._folder / DATABASE).write_bytes(copy.read_bytes())
        self.restart()

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
