"""The watcher: a small process beside a Temporal server, which ends it when it has no users left.

The last user to leave a folder stops its server. A user that is killed cannot do so, and its death
is reported to its parent only. The other users do not care, and if it was the last there is nobody
left. So each server has a watcher, which tries every second whether anybody still holds a share in
the folder (`locks`). After 15 seconds without a user it stops the server and ends itself.

It belongs to one server process: as soon as the record names another one, or none, it ends. It only
imports the locks, so that it starts quickly and uses little memory. If the watcher itself is
killed, nothing breaks: a server that nobody uses then runs until the folder is used the next time.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

from kern.client.server.locks import SERVER_LOCK, USERS_LOCK, Share, exclusive
from kern.errors import Unavailable

_POLL_SECONDS = 1.0
# A user that a supervisor restarts at once shall find the server of its predecessor.
_IDLE_SECONDS = 15.0
_GRACE_SECONDS = 5.0
# The watcher forks, and its first half exits at once. So its starter waits only for the fork, has
# no child to reap, and may end before the server. Entries of `sys.path` come last, so that a module
# beside the user's script cannot hide one of the standard library.
_CODE = """
import os, sys
if os.fork():
    os._exit(0)
sys.path += {path!r}
from {module} import watch
watch({record!r}, {pid})
"""


def begin(record: Path, pid: int) -> None:
    """Start a watcher for the server `pid`, which watches as long as `record` names that process.

    If no process can be started, the server is stopped by `leave` only.
    """
    root = Path(__file__).absolute().parents[__name__.count(".")]
    path = [str(root), *(str(Path(entry).absolute()) for entry in sys.path)]
    code = _CODE.format(module=__name__, path=path, record=str(record), pid=pid)
    with contextlib.suppress(OSError):
        subprocess.run(  # noqa: S603  this Python, and our own code
            [sys.executable, "-I", "-S", "-c", code],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )


def watch(record: str, pid: int) -> None:
    """Check every second whether the server has users; stop it once it has had none for a while."""
    home, unused_since = Path(record).parent, None
    while _is_recorded(Path(record), pid):
        time.sleep(_POLL_SECONDS)
        now = time.monotonic()
        if is_used(home):
            unused_since = None
        elif unused_since is None:
            unused_since = now
        elif now - unused_since >= _IDLE_SECONDS:
            # These imports are many times larger than the watcher, and needed once.
            from kern.client.server.stopping import stop_unused  # noqa: PLC0415

            with contextlib.suppress(Unavailable):
                stop_unused(home)
            unused_since = None
    _end_without_folder(pid)


def is_used(home: Path) -> bool:
    """Return whether a process has a share in the folder, or is just joining or leaving.

    This makes no file in a folder that is being deleted.
    """
    if not all((home / name).exists() for name in (SERVER_LOCK, USERS_LOCK)):
        return False
    try:
        with exclusive(home / SERVER_LOCK, timeout=0, create=False):
            share = Share(home / USERS_LOCK, create=False)
            share.acquire()
            return not share.release()
    except Unavailable:
        return True


def _end_without_folder(pid: int) -> None:
    """End a server whose folder was deleted: no process can find it any more."""
    # As in `watch`.
    from kern.client.server.process import is_homeless, stop  # noqa: PLC0415

    if is_homeless(pid):
        time.sleep(_IDLE_SECONDS)
    with contextlib.suppress(Unavailable):
        if is_homeless(pid):
            stop(pid, grace=_GRACE_SECONDS)


def _is_recorded(record: Path, pid: int) -> bool:
    try:
        content: object = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("pid") == pid
