"""The embedded Temporal server: one for each folder, shared by the processes that work in it.

Each user holds a share in the folder (`locks`), which the kernel releases when the process dies.
Who leaves last stops the server. If the last user was killed, the watcher does it some seconds
later (`watch`).

`join` runs under the folder's exclusive lock, and repairs whatever a `kill -9` has left:

- *A user was killed.* The server still answers, so it is joined, whether the watcher has noticed or
  not.
- *The server was killed.* The record names a process that is gone. A new server is started on the
  same file, and if possible on the same port, so that the clients of the other users reconnect by
  themselves. (Those also call `ensure`, which does the same and insists on the port.)
- *Whoever was starting the server was killed.* The server is recorded but may not answer yet: it is
  waited for, and its start is finished (`start.settle`). If it was not recorded yet, it is found by
  its command line and replaced, because two servers must never share a file.
- *The server hangs*, or its database file was deleted or replaced under it. It lives, but using it
  would be useless or would lose data, so it is killed and replaced.
"""

import errno
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from kern.client.server import start
from kern.client.server.locks import SERVER_LOCK, USERS_LOCK, Share, exclusive
from kern.client.server.process import DATABASE, RECORD, ServerRecord, pid_scope, servers_of, stop
from kern.client.server.stopping import LOCK_SECONDS, stop_all, users_of
from kern.errors import Conflict, InvalidInput, Unavailable

_ANSWER_SECONDS = 5.0
# The server hands its file name to SQLite as a URI and does not escape these.
_UNUSABLE = "?#%"


@dataclass(frozen=True)
class ServerStatus:
    """The state of a folder's server, for `kern doctor`.

    Attributes:
        running: Whether its process runs.
        answers: Whether it also answers.
        pid: Its process.
        address: Where Temporal clients connect.
        users: The processes that use it; None where the system cannot say.
    """

    running: bool
    answers: bool
    pid: int | None
    address: str | None
    users: tuple[int, ...] | None


class EmbeddedServer:
    """One process's share in a folder's Temporal server.

    A process that never calls `leave` does no harm: the kernel releases its share when it ends.
    `leave` stops a server that nobody else uses at once. All calls block: run them in a thread.
    """

    def __init__(self, home: Path, share: Share, record: ServerRecord, *, started: bool) -> None:
        self._home = home
        self._share = share
        self._record = record
        self._owner = os.getpid()
        self._guard = threading.Lock()
        self._has_left = False
        self.started = started

    @classmethod
    def join(cls, home: Path, *, ui: bool = False) -> "EmbeddedServer":
        """Join the server that runs on the folder, or start one; return when it serves.

        Many processes and threads may do so at once, and any of them may be killed. A server that
        runs but does not answer is replaced, if possible on the same port.

        Args:
            home: The folder; it is made if it is missing.
            ui: Also serve Temporal's web interface, if this call starts the server.

        Raises:
            InvalidInput: The path cannot be Kern's folder.
            Unavailable: The server cannot be started, or the folder cannot be used; the text says
                why.
        """
        folder = _prepare(home)
        share = Share(folder / USERS_LOCK)
        with exclusive(folder / SERVER_LOCK, timeout=LOCK_SECONDS):
            alone = share.acquire()
            try:
                record, started = _running_or_new(folder, alone=alone, ui=ui)
            except BaseException:
                share.release()
                raise
        return cls(folder, share, record, started=started)

    @property
    def address(self) -> str:
        """Where Temporal clients connect, as host and port; it stays the same until `leave`."""
        return self._record.address

    @property
    def pid(self) -> int:
        """The server's process, as of the last `join` or `ensure`."""
        return self._record.pid

    @property
    def ui_url(self) -> str | None:
        """The address of Temporal's web interface; None if the server was started without it."""
        port = self._record.ui_port
        return None if port is None else f"http://127.0.0.1:{port}"

    def ensure(self) -> bool:
        """Restart the server on the same port if it died or hangs; connected clients recover.

        Several processes may do so at once: one of them restarts it.

        Returns:
            Whether this call restarted it.

        Raises:
            Conflict: This process has called `leave`.
            Unavailable: Another program took the port, the folder is gone, or the server fails to
                start.
        """
        with self._guard:
            if self._has_left or os.getpid() != self._owner:
                raise Conflict(f"this process left the server of {str(self._home)!r}; join it anew")
            if not self._share.is_current():
                raise Unavailable(f"the folder {str(self._home)!r} was deleted while it was used")
            with exclusive(self._home / SERVER_LOCK, timeout=LOCK_SECONDS):
                return self._ensure_locked()

    def leave(self) -> None:
        """Release the share, and stop the server if it was the last; a second call does nothing.

        In a forked child it does nothing either, since the share is its parent's.
        """
        with self._guard:
            if self._has_left or os.getpid() != self._owner:
                return
            self._has_left = True
            if not self._share.is_current():
                # The folder was deleted, and its locks with it. The server must still end.
                if self._share.release() and self._record.is_alive():
                    stop(self._record.pid, grace=0)
                return
            try:
                with exclusive(self._home / SERVER_LOCK, timeout=LOCK_SECONDS):
                    if self._share.release():
                        stop_all(self._home)
            finally:
                self._share.release()

    def _ensure_locked(self) -> bool:
        record = ServerRecord.read(self._home / RECORD)
        if record is not None and _is_usable(self._home, record):
            if record.port != self._record.port:
                raise Unavailable(
                    f"the server of {str(self._home)!r} moved from {self.address} to "
                    f"{record.address}; connect there, or start this process again"
                )
            self._record = record
            return False
        stop_all(self._home)
        self._record = start.start(
            self._home,
            port=self._record.port,
            fixed=True,
            ui=self._record.ui_port is not None,
        )
        return True


def status(home: Path) -> ServerStatus:
    """Return the state of a folder's server; nothing is started, locked or changed."""
    if sys.platform == "win32":
        return ServerStatus(running=False, answers=False, pid=None, address=None, users=None)
    folder = Path(home).resolve()
    record = ServerRecord.read(folder / RECORD)
    if record is None or not record.is_alive():
        pid, port = next(servers_of(folder), (None, None))
        return ServerStatus(
            running=pid is not None,
            answers=False,
            pid=pid,
            address=None if port is None else f"127.0.0.1:{port}",
            users=users_of(folder),
        )
    return ServerStatus(
        running=True,
        answers=start.serves(record, timeout=_ANSWER_SECONDS),
        pid=record.pid,
        address=record.address,
        users=users_of(folder),
    )


def _prepare(home: Path) -> Path:
    if sys.platform == "win32":
        raise Unavailable(
            "the embedded server needs Linux or macOS; set TEMPORAL_ADDRESS to a server that runs"
        )
    try:
        folder = Path(home).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except ValueError as error:
        raise InvalidInput(f"{str(home)!r} is no path: {error}") from error
    except OSError as error:
        wrong = error.errno in {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.ELOOP}
        kind = InvalidInput if wrong else Unavailable
        raise kind(
            f"cannot use {str(home)!r} as Kern's folder: {error.strerror}; "
            "choose another (KERN_HOME)"
        ) from error
    if any(character in str(folder) for character in _UNUSABLE):
        raise InvalidInput(
            f"the Temporal server cannot keep a file in {str(folder)!r}; choose a folder whose "
            f"whole path has none of {' '.join(_UNUSABLE)} (KERN_HOME)"
        )
    if os.geteuid() not in {0, owner}:
        raise InvalidInput(
            f"the folder {str(folder)!r} belongs to user {owner}; "
            "choose one of your own (KERN_HOME)"
        )
    return folder


def _running_or_new(home: Path, *, alone: bool, ui: bool) -> tuple[ServerRecord, bool]:
    record = ServerRecord.read(home / RECORD)
    if record is not None and record.place != pid_scope() and not alone:
        raise Unavailable(
            f"{str(home)!r} is in use from another machine or container, whose server cannot be "
            "reached from here; stop what runs there, or choose another folder (KERN_HOME)"
        )
    if record is not None and _is_usable(home, record):
        ready = start.settle(home, record)
        if ready is not None:
            return ready, False
    # With its old port, clients of a server that was killed find the new one.
    last_port = stop_all(home)
    port = record.port if record is not None else last_port
    return start.start(home, port=port, fixed=False, ui=ui), True


def _is_usable(home: Path, record: ServerRecord) -> bool:
    if not record.is_alive():
        return False
    try:
        inode = (home / DATABASE).stat().st_ino
    except FileNotFoundError:
        inode = -1
    if record.inode not in {0, inode}:
        # Its file was deleted or replaced: whatever it stores from now on would be lost.
        return False
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not start.serves(record, timeout=_ANSWER_SECONDS):
        if time.monotonic() > deadline or not record.is_alive():
            return False
        time.sleep(0.02)
    return True
