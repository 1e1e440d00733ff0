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

# A holder of the lock may need the whole time to start a server, after killing a stuck one.
LOCK_SECONDS = START_SECONDS * 2


def stop_unused(home: Path) -> None:
    """Stop a folder's server if nobody uses it; one that somebody joins meanwhile goes on.

    Raises:
        Unavailable: The folder is gone, or the server cannot be ended.
    """
    with exclusive(home / SERVER_LOCK, timeout=LOCK_SECONDS):
        share = Share(home / USERS_LOCK)
        share.take()
        if share.give_back():
            stop_all(home)


def stop_all(home: Path) -> int | None:
    """End what serves the folder, recorded or not, and return the last port it served on."""
    port = None
    for pid, served in servers_of(home):
        # Asked to end, it would wait a second for requests that nobody sends any more. What it has
        # stored is as safe when it is killed.
        stop(pid, grace=0)
        port = served
    (home / RECORD).unlink(missing_ok=True)
    return port


def users_of(home: Path) -> tuple[int, ...] | None:
    """Return the processes that use a folder's server; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    lock = str(home / USERS_LOCK)
    return tuple(sorted(pid for pid in process_ids() if lock in open_files(pid)))
