"""The embedded Temporal server: one for each folder, shared by the processes that work in it.

The server outlives any of them and ends with the last, some seconds later if that one was killed
(`watch`). Whatever a `kill -9` leaves behind, of a user or of the server, is repaired by the
next `join`.
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
from kern.client.server.process import DATABASE, RECORD, ServerRecord, here, servers_of, stop
from kern.client.server.stopping import LOCK_SECONDS, stop_all, users_of
from kern.errors import Conflict, InvalidInput, Unavailable

_ANSWER_SECONDS = 5.0
# The server hands its file name to SQLite as a URI and does not escape these.
_UNUSABLE = "?#%"


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a folder's server, for `kern doctor`.

    Attributes:
        running: Whether its process lives.
        answers: Whether it also answers.
        pid: Its process.
        address: Where Temporal clients connect.
        users: The processes that use it; None where the system does not tell.
    """

    running: bool
    answers: bool
    pid: int | None
    address: str | None
    users: tuple[int, ...] | None


class EmbeddedServer:
    """One process's share in a folder's Temporal server.

    The kernel ends the share with the process, so none is needed to stay correct; `leave` stops
    a server that nobody else uses at once. All calls block: run them in a thread.
    """

    def __init__(self, home: Path, share: Share, record: ServerRecord, *, started: bool) -> None:
        self._home = home
        self._share = share
        self._record = record
        self._owner = os.getpid()
        self._guard = threading.Lock()
        self._left = False
        self.started = started

    @classmethod
    def join(cls, home: Path, *, ui: bool = False) -> "EmbeddedServer":
        """Join the server that runs on the folder, or start it; return when it serves.

        Safe when many processes and threads do so at once, and after a kill of any of them. A
        server that lives and does not answer is replaced, if possible on the same port.

        Args:
            home: The folder; it is made when missing.
            ui: Serve Temporal's web interface too, if this call starts the server.

        Raises:
            InvalidInput: The folder cannot be one.
            Unavailable: The server cannot be started or the folder not be used; the text says why.
        """
        folder = _prepare(home)
        share = Share(folder / USERS_LOCK)
        with exclusive(folder / SERVER_LOCK, timeout=LOCK_SECONDS):
            alone = share.take()
            try:
                record, started = _running_or_new(folder, alone=alone, ui=ui)
            except BaseException:
                share.give_back()
                raise
        return cls(folder, share, record, started=started)

    @property
    def address(self) -> str:
        """Where Temporal clients connect, as host and port; the same for as long as we share."""
        return self._record.address

    @property
    def pid(self) -> int:
        """The server's process, as of the last `join` or `ensure`."""
        return self._record.pid

    @property
    def ui_url(self) -> str | None:
        """Temporal's web interface, if whoever started the server asked for it."""
        port = self._record.ui_port
        return None if port is None else f"http://127.0.0.1:{port}"

    def ensure(self) -> bool:
        """Restart the server on the same port if it died or hangs; connected clients recover.

        Safe when several processes do so at once: one restarts it.

        Returns:
            Whether this call restarted it.

        Raises:
            Conflict: This share was given up with `leave`.
            Unavailable: Something else took the port, the folder is gone, or the server fails.
        """
        with self._guard:
            if self._left or os.getpid() != self._owner:
                raise Conflict(f"this process left the server of {str(self._home)!r}; join it anew")
            if not self._share.is_current():
                raise Unavailable(f"the folder {str(self._home)!r} was deleted while it was used")
            with exclusive(self._home / SERVER_LOCK, timeout=LOCK_SECONDS):
                return self._ensure_locked()

    def leave(self) -> None:
        """Give up the share, and stop the server if it was the last; a second call does nothing.

        In a forked child it does nothing either: the share is its parent's.
        """
        with self._guard:
            if self._left or os.getpid() != self._owner:
                return
            self._left = True
            if not self._share.is_current():
                # The folder was deleted, and its locks with it; what was started must still end.
                if self._share.give_back() and self._record.is_alive():
                    stop(self._record.pid, grace=0)
                return
            try:
                with exclusive(self._home / SERVER_LOCK, timeout=LOCK_SECONDS):
                    if self._share.give_back():
                        stop_all(self._home)
            finally:
                self._share.give_back()

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
    """Look at a folder's server; nothing is started, locked or changed."""
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
    if record is not None and record.place != here() and not alone:
        raise Unavailable(
            f"{str(home)!r} is in use from another machine or container, whose server cannot be "
            "reached from here; stop what runs there, or choose another folder (KERN_HOME)"
        )
    if record is not None and _is_usable(home, record):
        settled = start.settle(home, record)
        if settled is not None:
            return settled, False
    found = stop_all(home)
    port = record.port if record is not None else found
    return start.start(home, port=port, fixed=False, ui=ui), True


def _is_usable(home: Path, record: ServerRecord) -> bool:
    if not record.is_alive():
        return False
    try:
        inode = (home / DATABASE).stat().st_ino
    except FileNotFoundError:
        inode = -1
    if record.inode not in {0, inode}:
        # Its file was deleted or replaced: what it takes from now on would be lost with it.
        return False
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not start.serves(record, timeout=_ANSWER_SECONDS):
        if time.monotonic() > deadline or not record.is_alive():
            return False
        time.sleep(0.02)
    return True
