"""How people and Temporal name a worker's process: `pid@host`."""

import os
import socket


def worker_name(process: int, host: str) -> str:
    """Return the name of a process on a host."""
    return f"{process}@{host}"


def own_worker_name() -> str:
    """Return the name of this process."""
    return worker_name(os.getpid(), socket.gethostname())
