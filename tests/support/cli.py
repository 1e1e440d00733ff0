"""The command line as tests call it: in this process, as a process, and at a pseudo-terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kern.client.cli.main import execute
from kern.contracts.viewer import OPERATOR
from kern.db.engine.from_settings import database_path
from kern.db.engine.stores import SqliteStore
from kern.db.reading.run_outputs import run_output
from kern.run import RunOutput
from tests.support import forked
from tests.support.processes import ROOT

COMMAND = [sys.executable, "-m", "kern.client.cli.main"]
# The size of the terminal in which tests run is not that of theirs.
_SETTINGS = ("KERN_", "TEMPORAL_", "OPENAI_", "COV_", "PYTEST_", "COLUMNS", "LINES")
# Colours, and what moves the cursor or sets a mode.
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  what it is, the test expects
        return json.loads(self.out)

    @property
    def error(self) -> Any:  # noqa: ANN401  as above
        return json.loads(self.err)["error"]


class Cli:
    """Calls commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> Said:
        self._capsys.readouterr()
        got = execute(list(arguments))
        out, err = self._capsys.readouterr()
        assert got == code, f"{arguments}: exit code {got}\n{out}{err}"
        return Said(got, out, err)

    def decide(self, name: str, requirement_id: str, *arguments: str, code: int = 0) -> Said:
        """Decide as somebody does who has read `kern pending`: with the digest of the call."""
        page = self("pending", "--limit", "1000", "--json").json["requirements"]
        [digest] = [item["digest"] for item in page if item["id"] == requirement_id]
        return self(name, requirement_id, "--digest", digest[:8], *arguments, code=code)


def environment(**more: str) -> dict[str, str]:
    """Return what a process is given: no settings but these."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_SETTINGS)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def command(*arguments: str, cwd: Path, timeout: float = 100, **more: str) -> Said:
    """Run a command as a process off a terminal, and wait for its end."""
    env = environment(**more)
    return Said(*forked.run([*COMMAND[1:], *arguments], cwd=cwd, env=env, timeout=timeout))


def output_of(folder: Path, run_id: str) -> RunOutput:
    """Read a run from the database of the folder in which commands work."""
    with closing(SqliteStore(database_path(folder / ".kern"))) as db:
        return db.read_now(lambda tx: run_output(tx, run_id, OPERATOR))


class Terminal:
    """A command at a pseudo-terminal of 100 columns, with a person who types."""

    def __init__(self, arguments: tuple[str, ...], cwd: Path, more: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = forked.fork(
            [*COMMAND[1:], *arguments],
            cwd=cwd,
            env=environment(TERM="xterm-256color", **more),
            streams=(slave, slave, slave),
            new_session=True,
        )
        os.close(slave)
        self.raw = ""
        self._read_to = 0

    @property
    def text(self) -> str:
        """What is on the screen, without colours, each paragraph as one line."""
        return _STYLE.sub("", self.raw).replace("\r\n", "\n")

    def expect(self, wanted: str, *, timeout: float = 100) -> None:
        """Wait until a text appears after what was expected before."""
        deadline = time.monotonic() + timeout
        while (found := self.text.find(wanted, self._read_to)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} did not appear:\n{self.text}"
            if not self._read(left):
                raise AssertionError(f"the command ended before {wanted!r}:\n{self.text}")
        self._read_to = found + len(wanted)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._master, f"{line}\n".encode())

    def press(self, keys: str) -> None:
        """Press keys, without Enter."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int = 40) -> None:
        """Give the window another size, which its processes hear of."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        while self._read(100):
            pass
        return self.process.wait(30)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        os.close(self._master)

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], timeout)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(*arguments: str, cwd: Path, **more: str) -> Generator[Terminal]:
    """Have a command at a terminal for as long as the block runs."""
    started = Terminal(arguments, cwd, more)
    try:
        yield started
    finally:
        started.close()


@contextmanager
def worker(app: str, cwd: Path) -> Generator[None]:
    """Have a worker of all components of an app, which ends gracefully with the block."""
    command = [*COMMAND[1:], "worker", "--app", app]
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123  no path of ours
        none = nothing.fileno()
        started = forked.fork(command, cwd=cwd, env=environment(), streams=(none, none, none))
    try:
        yield
    finally:
        started.terminate()
        assert started.wait(60) == 0
