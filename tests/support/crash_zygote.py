"""Forks workers and clients from a process that has imported everything: a kill costs no start."""

import asyncio
import gc
import importlib
import os
import signal
import sys
import traceback
from types import FrameType

from tests.support.crash_roles import play
from tests.support.crash_spec import Born, Ended, Spec

# What is loaded at first use would be loaded anew in every child.
_USED_LATER = (
    "openai",
    "openai.resources.responses",
    "httpcore2",
    "h11",
    "truststore",
    "anyio._backends._asyncio",
    "jsonschema",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
)
_children: dict[int, int] = {}


def main() -> None:
    """Fork a child for each line that comes in and tell when it ends; without input all ends."""
    for name in _USED_LATER:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    try:
        for line in sys.stdin:
            _fork(Spec.model_validate_json(line))
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        for pid in _children:
            os.kill(pid, signal.SIGKILL)


def _fork(spec: Spec) -> None:
    # A child that ends before it is known would be reported under no name.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        _live(spec)
    _children[pid] = spec.id
    _tell(Born(id=spec.id, pid=pid))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _live(spec: Spec) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    code = 1
    try:
        code = asyncio.run(play(spec))
    finally:
        # What is raised here would unwind into the zygote's own loop.
        if sys.exc_info()[1] is not None:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def _reap(_number: int, _frame: FrameType | None) -> None:
    while _children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            # This call interrupted another one that has reaped the last child and not told it yet.
            return
        if pid == 0:
            return
        _tell(Ended(id=_children.pop(pid), code=os.waitstatus_to_exitcode(status)))


def _tell(news: Born | Ended) -> None:
    # One small write, so that the handler of a signal cannot cut another one's line.
    os.write(1, f"{news.model_dump_json()}\n".encode())


if __name__ == "__main__":
    main()
