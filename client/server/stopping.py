"""Stopping a folder's server once nobody uses it."""

import sys
from pathlib import Path

from kern.client.server.locks import SERVER_LOCK, USERS_LOCK, Share, exclusive
from kern.client.server.process import (
    RECORD,
    START_SECONDS,
    open_files,
    process_ids,
    servers_of,
    stop,
)

# The holder of the lock may need all of this to kill a stuck server and start another.
LOCK_SECONDS = START_SECONDS * 2


def stop_unused(home: Path) -> None:
    """Stop a folder's server unless a process uses it, or has joined it in the meantime.

    Raises:
        Unavailable: The folder is gone, or the server cannot be ended.
    """
    with exclusive(home / SERVER_LOCK, timeout=LOCK_SECONDS):
        share = Share(home / USERS_LOCK)
        share.acquire()
        if share.release():
            stop_all(home)


def stop_all(home: Path) -> int | None:
    """Kill all servers of the folder, recorded or not; return the port that the last one used."""
    port = None
    for pid, server_port in servers_of(home):
        # A server that is asked to end waits a second for requests that nobody sends any more, and
        # what it has stored is just as safe when it is killed.
        stop(pid, grace=0)
        port = server_port
    (home / RECORD).unlink(missing_ok=True)
    return port


def users_of(home: Path) -> tuple[int, ...] | None:
    """Return the processes that use a folder's server; None where the system cannot say."""
    if sys.platform != "linux":
        return None
    lock = str(home / USERS_LOCK)
    return tuple(sorted(pid for pid in process_ids() if lock in open_files(pid)))
