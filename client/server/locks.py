"""The two file locks by which processes share what lives in one folder.

`server.lock`
    is held exclusively, and only for moments: by whoever joins, leaves, or restarts the server.
    Between taking and releasing it, a process may look at the server and act on what it saw.

`users.lock`
    is held in shared mode by each user of the server for as long as the user lives. Whether the
    server has users is the question whether somebody can lock this file exclusively.

Why locks and not a list of process ids in a file: a process that is killed cannot take its entry
out, and its id may later belong to another program. `flock` needs no cleaning up, because the
kernel releases the lock with the last descriptor of the opened file, however the process ended.

*Order.* `server.lock` comes first, `users.lock` second. `users.lock` is only ever tried and never
waited for, so its holders, who keep it for hours, block nobody, and the two cannot deadlock. Trying
for the exclusive mode and then falling back to the shared one is not atomic (the kernel drops the
first before it takes the second), hence both happen under `server.lock`.

*`flock`, not `fcntl` locks.* An `fcntl` lock belongs to the process: closing any descriptor of the
file drops it, and a process that joins twice would have one lock. A `flock` lock belongs to the
opened file, and so to one `Share`. The reverse side: a forked child has the same opened file. So
descriptors are not inherited by programs (`O_CLOEXEC`: a server would keep its own users' lock),
locks are released explicitly and not just closed, and a forked child closes what it inherited.
"""

import contextlib
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

from kern.errors import Unavailable
from kern.process.forks import on_fork

if sys.platform != "win32":
    import fcntl

SERVER_LOCK = "server.lock"
USERS_LOCK = "users.lock"

_POLL_SECONDS = 0.02
# The descriptors of the locks that this process holds or waits for.
_opened: set[int] = set()


@contextlib.contextmanager
def exclusive(path: Path, *, timeout: float, create: bool = True) -> Generator[None]:
    """Hold the lock at `path` exclusively; the kernel releases it if this process is killed.

    Args:
        path: The lock's file.
        timeout: For how many seconds to wait for it.
        create: Whether to make a missing file. Without it, nothing is left in a folder that
            somebody is deleting.

    Raises:
        Unavailable: The file cannot be opened, or another process held the lock for the whole
            timeout (it may be suspended or stuck).
    """
    descriptor = _open(path, create=create)
    try:
        if not _wait(descriptor, timeout):
            raise Unavailable(
                f"another process has held {str(path)!r} for {timeout:.0f} s; "
                f"find it with `lsof {path}` and end it"
            )
        try:
            yield
        finally:
            # Closing is not enough: a child that another thread has forked holds the file open too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        _close(descriptor)


class Share:
    """One user's hold on `users.lock`, which the kernel releases when its process dies.

    Call everything but `is_current` under the folder's `exclusive` lock, so that nobody joins while
    the last user leaves.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path, self._create = path, create
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the share; return whether nobody else had one."""
        descriptor = self._descriptor = _open(self._path, create=self._create)
        alone = _try_lock(descriptor, fcntl.LOCK_EX)
        if not _try_lock(descriptor, fcntl.LOCK_SH):
            self.release()
            raise Unavailable(f"{str(self._path)!r} is locked by a program that is not Kern")
        return alone

    def release(self) -> bool:
        """Release the share; return whether it was the last one. A second call returns False."""
        if self._descriptor is None:
            return False
        descriptor, self._descriptor = self._descriptor, None
        last = _try_lock(descriptor, fcntl.LOCK_EX)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        _close(descriptor)
        return last

    def is_current(self) -> bool:
        """Return whether the folder is still the one that was joined, and was not deleted since."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False


def _open(path: Path, *, create: bool) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except OSError as error:
        raise Unavailable(
            f"cannot open {str(path)!r}: {error.strerror}; "
            "Kern needs a folder that it may write to (KERN_HOME)"
        ) from error
    _opened.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    _opened.discard(descriptor)
    os.close(descriptor)


def _close_inherited() -> None:
    """Close, in a forked child, the parent's locks; closing does not release them there."""
    for descriptor in tuple(_opened):
        with contextlib.suppress(OSError):
            _close(descriptor)


def _wait(descriptor: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


on_fork(in_child=_close_inherited)
