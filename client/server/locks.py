"""The file locks by which processes share what lives in one folder."""

import contextlib
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

from kern.errors import Unavailable

if sys.platform != "win32":
    import fcntl

# Held while somebody joins or leaves, and by all who have joined.
SERVER_LOCK = "server.lock"
USERS_LOCK = "users.lock"

_POLL_SECONDS = 0.02


@contextlib.contextmanager
def exclusive(path: Path, *, timeout: float, create: bool = True) -> Generator[None]:
    """Hold the lock at `path` alone; the kernel frees it if this process is killed meanwhile.

    Whoever does not `create` its file leaves nothing in a folder that is being deleted.

    Raises:
        Unavailable: The file cannot be opened, or another process held the lock for all of
            `timeout` seconds (it may be stopped or stuck).
    """
    descriptor = _open(path, create=create)
    try:
        if not _wait_for(descriptor, timeout):
            raise Unavailable(
                f"another process has held {str(path)!r} for {timeout:.0f} s; "
                f"find it with `lsof {path}` and end it"
            )
        try:
            yield
        finally:
            # Closing is not enough: a process that another thread forked meanwhile has a copy.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


class Share:
    """One process's share in a folder: kept while it lives, freed by the kernel when it dies.

    All but `is_current` belong under the folder's `exclusive` lock, so that nobody joins while
    the last one leaves.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path, self._create = path, create
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the share and tell whether nobody else had one."""
        descriptor = self._descriptor = _open(self._path, create=self._create)
        alone = _try(descriptor, fcntl.LOCK_EX)
        if not _try(descriptor, fcntl.LOCK_SH):
            self.give_back()
            raise Unavailable(f"{str(self._path)!r} is locked by a program that is not Kern")
        return alone

    def give_back(self) -> bool:
        """Return the share and tell whether it was the last; false when it was returned before."""
        if self._descriptor is None:
            return False
        descriptor, self._descriptor = self._descriptor, None
        last = _try(descriptor, fcntl.LOCK_EX)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
        return last

    def is_current(self) -> bool:
        """Tell whether the folder still is the one that was joined, not deleted or made anew."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False


def _open(path: Path, *, create: bool) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except OSError as error:
        raise Unavailable(
            f"cannot open {str(path)!r}: {error.strerror}; "
            "Kern needs a folder that it may write to (KERN_HOME)"
        ) from error


def _wait_for(descriptor: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
