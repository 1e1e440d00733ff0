"""A small process beside a Temporal server, which ends the server when nobody uses it any more.

Who leaves a folder last stops its server. One that is killed, or ended by a signal that it does not
handle, cannot, and the kernel tells nobody but its parent.
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
# Whoever is started again at once, as by a supervisor, finds the server that the last one had.
_PATIENCE_SECONDS = 15.0
_GRACE_SECONDS = 5.0
# The process that starts it waits only for the fork, has no child to look after, and whoever
# started the server may go. What the user has beside their script must not hide Python's own.
_CODE = """
import os, sys
if os.fork():
    os._exit(0)
sys.path += {path!r}
from {module} import watch
watch({record!r}, {pid})
"""


def begin(record: Path, pid: int) -> None:
    """Have the server `pid`, which `record` tells of, watched for as long as it is that one.

    Where no process can be started for that, only those who leave stop the server.
    """
    root = Path(__file__).absolute().parents[__name__.count(".")]
    path = [str(root), *(str(Path(entry).absolute()) for entry in sys.path)]
    code = _CODE.format(module=__name__, path=path, record=str(record), pid=pid)
    with contextlib.suppress(OSError):
        subprocess.run(  # noqa: S603  this Python, and code of ours
            [sys.executable, "-I", "-S", "-c", code],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )


def watch(record: str, pid: int) -> None:
    """Look every moment whether the server has users, and end it when it has had none for long."""
    home, unused_since = Path(record).parent, None
    while _is_recorded(Path(record), pid):
        time.sleep(_POLL_SECONDS)
        now = time.monotonic()
        if is_used(home):
            unused_since = None
        elif unused_since is None:
            unused_since = now
        elif now - unused_since >= _PATIENCE_SECONDS:
            # Many times larger than all of this, and needed once.
            from kern.client.server.stopping import stop_unused  # noqa: PLC0415

            with contextlib.suppress(Unavailable):
                stop_unused(home)
            unused_since = None
    _end_without_folder(pid)


def is_used(home: Path) -> bool:
    """Tell whether some process has a share in the folder, or is about to take or return one.

    It leaves nothing in a folder that is being deleted.
    """
    if not all((home / name).exists() for name in (SERVER_LOCK, USERS_LOCK)):
        return False
    try:
        with exclusive(home / SERVER_LOCK, timeout=0, create=False):
            share = Share(home / USERS_LOCK, create=False)
            share.take()
            return not share.give_back()
    except Unavailable:
        return True


def _end_without_folder(pid: int) -> None:
    """End a server whose folder was deleted under it: nobody can find it any more."""
    # As above.
    from kern.client.server.process import is_homeless, stop  # noqa: PLC0415

    if is_homeless(pid):
        time.sleep(_PATIENCE_SECONDS)
    with contextlib.suppress(Unavailable):
        if is_homeless(pid):
            stop(pid, grace=_GRACE_SECONDS)


def _is_recorded(record: Path, pid: int) -> bool:
    try:
        found: object = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("pid") == pid
