"""A worker for the demonstration's agent: a process of its own, which ends with its parent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from kern.client.cli.demo.agent import APP
from kern.client.cli.serving import serve_app

# Short, so that a killed worker is noticed before the viewer loses patience.
HEARTBEAT_SECONDS = 2.0

Worker = subprocess.Popen[bytes]


@contextmanager
def demo_worker() -> Generator[Worker]:
    """Run a worker for the demonstration's agent in a process of its own."""
    environment = {**os.environ, "KERN_HEARTBEAT_SECONDS": f"{HEARTBEAT_SECONDS:g}"}
    process = subprocess.Popen(  # noqa: S603  this very program
        [sys.executable, "-m", __name__],
        env=environment,
        # The kernel closes this pipe when this process ends, and the worker then ends too.
        stdin=subprocess.PIPE,
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
    finally:
        if process.stdin is not None:
            process.stdin.close()


def _follow_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow_parent, name="parent", daemon=True).start()
    serve_app(APP, ui=False, health_host=None, health_port=None)
