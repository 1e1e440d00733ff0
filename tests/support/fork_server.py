"""The process that `tests.support.forked` forks others from."""

import asyncio
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

_LONGEST = 1 << 20
_HEAR_SECONDS = 0.5
# What workers, clients and commands import, at once or at first use; what is executed is not here.
_USED = (
    "alembic.command",
    "anyio._backends._asyncio",
    "h11",
    "httpcore2",
    "jsonschema",
    "kern.agent",
    "kern.client.cli.demo.main",
    "kern.client.cli.running",
    "kern.client.processes.process_runtime",
    "kern.client.serving.worker",
    "kern.client.service.installation",
    "kern.models.openai",
    "kern.models.scripted",
    "kern.team",
    "kern.workflow",
    "openai",
    "openai.resources.responses",
    "psycopg",
    "rich.console",
    "rich.progress",
    "sqlalchemy.dialects.postgresql.psycopg",
    "tests.support.crash_app",
    "tests.support.crash_spec",
    "truststore",
    "typer.main",
)


class _Server:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._children: set[int] = set()

    def serve(self) -> None:
        """Fork a child for each line that comes in, and tell when it ends."""
        signal.signal(signal.SIGCHLD, self._reap)
        self._tell(ready=os.getpid())
        while True:
            # A signal that comes just before the waiting is heard only after it.
            while not select.select([self._connection], [], [], _HEAR_SECONDS)[0]:
                pass
            line, streams, _, _ = socket.recv_fds(self._connection, _LONGEST, 3)
            while line and not line.endswith(b"\n"):
                line += self._connection.recv(_LONGEST)
            if not line:
                break
            self._fork(json.loads(line), streams)
        # Whoever asked has ended, and nobody is left to end them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, ask: dict[str, object], streams: Sequence[int]) -> None:
        # A child that ends before it is told of must not be told of first.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            self._connection.close()
            _live(ask, streams)
        for stream in streams:
            os.close(stream)
        self._children.add(pid)
        self._tell(born=pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _reap(self, _number: int, _frame: FrameType | None) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            self._tell(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _tell(self, **news: int) -> None:
        # One small write, so that the handler of a signal cannot cut another one's line.
        self._connection.send(json.dumps(news).encode() + b"\n")


def _live(ask: dict[str, object], streams: Sequence[int]) -> None:
    """Be the process that was asked for, as a new interpreter would be."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    command, cwd, env = ask["command"], ask["cwd"], ask["env"]
    assert isinstance(command, list)
    assert isinstance(cwd, str)
    assert isinstance(env, dict)
    if ask["new_session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    # What the server made of its own streams knows whether those were terminals.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  as above
    sys.stderr = open(  # noqa: SIM115  as above
        2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[1:1] = [one for one in env.get("PYTHONPATH", "").split(os.pathsep) if one]
    # Otherwise all children would draw the same numbers.
    random.seed()
    code = 1
    try:
        _execute(command, cwd)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001  what an interpreter prints before it ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _execute(command: Sequence[str], cwd: str) -> None:
    if command[0] == "-m":
        sys.path[0] = cwd
        sys.argv = [*command[1:]]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [*command]
        sys.path[0] = os.path.dirname(os.path.abspath(command[0]))  # noqa: PTH100, PTH120  as the interpreter does
        runpy.run_path(command[0], run_name="__main__")


async def _load_workflows() -> None:
    """Load the workflows into the sandbox, which every worker would do once more for itself."""
    from temporalio import workflow
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

    from kern.client.temporal.connection import WORKFLOWS
    from kern.client.temporal.sandbox import sandboxed

    runner = sandboxed(SandboxedWorkflowRunner())
    for kind in WORKFLOWS:
        runner.prepare_workflow(workflow._Definition.must_from_class(kind))


def main() -> None:
    """Import, and serve until whoever asks has ended."""
    for name in _USED:
        importlib.import_module(name)
    asyncio.run(_load_workflows())
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        _Server(connection).serve()


if __name__ == "__main__":
    main()
