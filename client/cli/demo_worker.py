"""A worker of the demonstration's agent, as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from kern.client.cli.demo_agent import APP

# A dead worker is noticed soon: nobody should have to wait for the point of the demonstration.
HEARTBEAT_SECONDS = 2.0

Worker = subprocess.Popen[bytes]


@contextmanager
def demo_worker() -> Generator[Worker]:
    """Run a worker of the demonstration's agent as a process of its own."""
    command = [sys.executable, "-m", "kern.client.cli.main", "worker", "--app", APP]
    environment = {**os.environ, "KERNHEARTBEAT_SECONDS": f"{HEARTBEAT_SECONDS:g}"}
    process = subprocess.Popen(  # noqa: S603  this very program
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the demonstration, which ends its workers itself.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: Worker) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
