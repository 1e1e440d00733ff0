"""Python processes in milliseconds: forked from one that has imported what they all need.

Half of what a short command takes is importing, and the suite starts some hundred of them. That an
interpreter of its own comes as far is proved where a newcomer's commands are typed.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_LONGEST = 1 << 20
_POLL_SECONDS = 0.005


class Forked:
    """One process, as `subprocess.Popen` has it."""

    def __init__(self, forks: "_Forks", pid: int) -> None:
        self.pid = pid
        self._forks = forks

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it goes on."""
        return self._forks.code_of(self.pid)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code.

        Raises:
            TimeoutExpired: it goes on for longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def fork(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    streams: tuple[int, int, int],
    new_session: bool = False,
) -> Forked:
    """Start `python *command`: a script's path, or `-m` and a module.

    Args:
        command: What follows the interpreter's name.
        cwd: Where it works.
        env: All of its environment.
        streams: Its standard streams; they stay the caller's to close.
        new_session: Whether it leads a session of its own.
    """
    return _forks(os.getpid()).start(command, cwd, env, streams, new_session=new_session)


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Have `python *command` run without any input; return its exit code and what it printed."""
    with (
        open(os.devnull, "rb") as nothing,  # noqa: PTH123  no path of ours
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        streams = (nothing.fileno(), out.fileno(), err.fileno())
        process = fork(command, cwd=cwd, env=env, streams=streams)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


class _Forks:
    """The caller's side of the process that forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._guard = threading.Lock()
        self._codes: dict[int, int] = {}
        self._rest = b""
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self._close)
        self._read(is_patient=True)

    def _close(self) -> None:
        # It ends when nobody is left who could ask it.
        self._socket.close()
        self._server.wait(30)

    def start(
        self,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        streams: tuple[int, int, int],
        *,
        new_session: bool,
    ) -> Forked:
        ask = {"command": [*command], "cwd": str(cwd), "env": {**env}, "new_session": new_session}
        line = json.dumps(ask).encode() + b"\n"
        assert len(line) < _LONGEST
        with self._guard:
            socket.send_fds(self._socket, [line], [*streams])
            news = self._read(is_patient=True)
            while "born" not in news:
                news = self._read(is_patient=True)
            # A process of that number may have ended before.
            self._codes.pop(news["born"], None)
        return Forked(self, news["born"])

    def code_of(self, pid: int) -> int | None:
        with self._guard:
            while pid not in self._codes and self._read(is_patient=False):
                pass
            return self._codes.get(pid)

    def _read(self, *, is_patient: bool) -> dict[str, int]:
        """Read one piece of news; none at all if there is none and nobody is patient."""
        while b"\n" not in self._rest:
            try:
                more = self._socket.recv(4096, 0 if is_patient else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return {}
            assert more, "the process that forks has ended"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        news: dict[str, int] = json.loads(line)
        if "ended" in news:
            self._codes[news["ended"]] = news["code"]
        return news


@cache
def _forks(_process: int) -> _Forks:
    # One that was forked itself must not use what its parent holds.
    return _Forks()
