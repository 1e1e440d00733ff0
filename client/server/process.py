"""The process of a folder's Temporal server: how it is recorded, recognised and stopped.

A process id alone identifies nothing: once its process has ended, the system gives the number to
another program, and killing that would be a disaster. A record therefore also holds the time at
which the process started and the machine and container in which its id is valid, and the command
line must be the one that this module starts.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kern.errors import Unavailable
from kern.process.forks import abandon, on_fork

DATABASE = "temporal.db"
RECORD = "server.json"
START_SECONDS = 30.0

_LINUX = sys.platform == "linux"
_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
# `ps` separates arguments by a space, which a path may contain; /proc by a zero byte.
_COMMAND = re.compile(
    r".*temporal{0}server{0}start-dev{0}--db-filename{0}(?P<database>.*){0}"
    r"--ip{0}127\.0\.0\.1{0}--port{0}(?P<port>\d+){0}".replace("{0}", r"\x00" if _LINUX else " "),
    re.DOTALL,
)


class ServerRecord(BaseModel):
    """The content of `server.json`: enough to recognise the process, or to know that it is gone."""

    model_config = ConfigDict(frozen=True, strict=True)

    pid: int = Field(gt=1)
    born: str
    place: str
    database: str
    port: int = Field(gt=0, lt=65536)
    http_port: int = Field(gt=0, lt=65536)
    ui_port: int | None = None
    inode: int = 0

    @property
    def address(self) -> str:
        """Where Temporal clients connect."""
        return f"127.0.0.1:{self.port}"

    @classmethod
    def read(cls, path: Path) -> "ServerRecord | None":
        """Return the record at `path`; None when it is missing or is not a record of Kern."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, path: Path) -> None:
        """Write the record to `path`, completely or not at all."""
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(self.model_dump_json(), encoding="utf-8")
        draft.replace(path)

    def is_alive(self) -> bool:
        """Return whether the recorded process still runs, and its id is not another's by now."""
        if self.place != pid_scope() or birth_of(self.pid) != self.born:
            return False
        return _parse(_command(self.pid)) == (self.database, self.port)


def pid_scope() -> str:
    """Name the scope in which process ids are valid: this boot of this machine or container."""
    if not _LINUX:
        return sys.platform
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return sys.platform


def birth_of(pid: int) -> str | None:
    """Return when the process started, to be compared only; None when it does not run."""
    if not _LINUX:
        state, _, start = _ps(str(pid), "stat=,lstart=", "C").partition(" ")
        return start.strip() if state and not state.startswith("Z") else None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The program's name in parentheses may contain anything, so fields count from the last one.
    fields = text.rpartition(")")[2].split()
    state, threads, start = fields[0], fields[17], fields[19]
    # The main thread of a killed process is a zombie while others still hold its files and ports.
    return None if state == "X" or (state == "Z" and int(threads) <= 1) else start


def servers_of(home: Path) -> Iterator[tuple[int, int]]:
    """Find the pid and the port of each server that runs on the folder, recorded or not."""
    for pid, command in _processes():
        parsed = _parse(command)
        if parsed is None:
            continue
        # The same path is another folder in another container, or if it was deleted and made again.
        folder = f"/proc/{pid}/cwd" if _LINUX else str(Path(parsed[0]).parent)
        with contextlib.suppress(OSError):
            if Path(folder).samefile(home):
                yield pid, parsed[1]


def is_homeless(pid: int) -> bool:
    """Return whether a process is a server whose folder was deleted; only Linux can say."""
    if not _LINUX or _parse(_command(pid)) is None:
        return False
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).endswith(" (deleted)")
    except OSError:
        return False


def servers_below(folder: Path) -> Iterator[tuple[int, Path]]:
    """Find the pid and the file of each server whose file lies anywhere below a folder."""
    for pid, command in _processes():
        parsed = _parse(command)
        if parsed is not None and Path(parsed[0]).is_relative_to(folder):
            yield pid, Path(parsed[0])


def process_ids() -> list[int]:
    """Return the running processes; Linux only."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def open_files(pid: int) -> set[str]:
    """Return the files that a process has open, as far as this user may see; Linux only."""
    files: set[str] = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                files.add(str(link.readlink()))
    return files


def remember_child(child: subprocess.Popen[bytes]) -> None:
    """Keep the handle of a server until it ends, so that it becomes neither zombie nor warning."""
    _reap()
    _CHILDREN[child.pid] = child


def stop(pid: int, *, grace: float) -> None:
    """End a process that was recognised as a server, by SIGTERM for `grace` seconds, then SIGKILL.

    Raises:
        Unavailable: It belongs to another user, or the kernel cannot end it.
    """
    birth = birth_of(pid)
    try:
        if birth is None or (grace and _signal(pid, birth, signal.SIGTERM, grace)):
            return
        if not _signal(pid, birth, signal.SIGKILL, _KILL_SECONDS):
            raise Unavailable(f"the Temporal server with pid {pid} does not end, even by SIGKILL")
    except PermissionError as error:
        raise Unavailable(
            f"the Temporal server with pid {pid} belongs to another user; ask them to end it"
        ) from error
    finally:
        _reap()


def _signal(pid: int, birth: str, number: signal.Signals, seconds: float) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return _wait_gone(pid, birth, seconds)


def _forget_children() -> None:
    """Abandon, in a forked child, the handles of processes that are its parent's children."""
    abandon(*_CHILDREN.values())
    _CHILDREN.clear()


def _reap() -> None:
    for pid in [pid for pid, child in list(_CHILDREN.items()) if child.poll() is not None]:
        _CHILDREN.pop(pid, None)


def _wait_gone(pid: int, birth: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while birth_of(pid) == birth:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _parse(command: str) -> tuple[str, int] | None:
    match = _COMMAND.match(command)
    if match is None or Path(match["database"]).name != DATABASE:
        return None
    return match["database"], int(match["port"])


def _processes() -> Iterator[tuple[int, str]]:
    if _LINUX:
        yield from ((pid, _command(pid)) for pid in process_ids())
        return
    for line in _ps(None, "pid=,command=", "en_US.UTF-8").splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command.strip()


def _command(pid: int) -> str:
    if not _LINUX:
        return _ps(str(pid), "command=", "en_US.UTF-8").strip()
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return ""


def _ps(pid: str | None, columns: str, locale: str) -> str:
    selection = ["-ax"] if pid is None else ["-p", pid]
    done = subprocess.run(  # noqa: S603  a number and our own words
        ["/bin/ps", "-ww", *selection, "-o", columns],
        env={"LC_ALL": locale},
        capture_output=True,
        check=False,
    )
    return os.fsdecode(done.stdout)


on_fork(in_child=_forget_children)
