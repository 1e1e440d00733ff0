"""How people and Temporal name a worker's process: `pid@host`."""

import os
import socket
from datetime import timedelta

# A worker that has not reported for this long is considered gone.
GONE_AFTER = timedelta(seconds=60)


def worker_name(process: int, host: str) -> str:
    """Return the name of a process on a host."""
    return f"{process}@{host}"


def own_worker_name() -> str:
    """Return the name of this process."""
    return worker_name(os.getpid(), socket.gethostname())
