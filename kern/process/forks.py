"""What a forked child makes anew, and how its parent prepares for that.

`fork` copies the memory of a process and only one of its threads: the one that called it. In the
child, an event loop whose thread is missing never answers, a lock that another thread held is never
released, and a connection is shared with the parent, whose protocol a second speaker breaks. So the
child *abandons* what it inherited, without closing it, and makes its own at the first use.

Programs that are started (`subprocess`) do not run these callbacks: they inherit nothing.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from types import TracebackType

# How long a fork waits for the transactions of other threads.
_SETTLE_SECONDS = 5.0


def on_fork(
    *,
    before: Callable[[], object] | None = None,
    in_parent: Callable[[], object] | None = None,
    in_child: Callable[[], object] | None = None,
) -> None:
    """Have functions called around every fork of this process, for as long as it lives."""
    if not hasattr(os, "register_at_fork"):  # pragma: no cover  a system without fork
        return
    for name, act in (("before", before), ("after_in_parent", in_parent)):
        if act is not None:
            os.register_at_fork(**{name: act})
    if in_child is not None:
        os.register_at_fork(after_in_child=in_child)


def abandon(*inherited: object) -> None:
    """Never finalize these objects, not even as the interpreter ends.

    Their finalizers would say goodbye on the parent's connections, or wait for threads that are not
    there. A reference that nobody gives back is the only way to keep a finalizer from running.
    """
    for item in inherited:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))


class ForkGate:
    """Lets transactions through, and keeps them out while the process forks."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._is_closed = False

    def __enter__(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._is_closed)
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def close(self) -> bool:
        """Let nobody in, and wait for those inside; return whether all of them have left."""
        with self._condition:
            self._is_closed = True
            return self._condition.wait_for(lambda: not self._inside, _SETTLE_SECONDS)

    def open(self) -> None:
        """Let transactions through again."""
        with self._condition:
            self._is_closed = False
            self._condition.notify_all()
