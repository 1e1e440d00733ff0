"""What answers operators' programs over HTTP: one connection a process, on a thread of its own."""

import atexit
import threading
from functools import cache

from kern.client.processes.service_thread import ServiceThread
from kern.client.remote.address import Address, configured_address
from kern.client.remote.service import RemoteService
from kern.process.forks import abandon, on_fork

_lock = threading.Lock()
_runtime: "RemoteRuntime | None" = None


class RemoteRuntime(ServiceThread[RemoteService]):
    """The service over HTTP, with a thread and an event loop of its own.

    Args:
        address: The API, and the token.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        super().__init__(RemoteService(address), "kern-remote")


def remote_runtime() -> RemoteRuntime:
    """Return what answers in this process, for the API and the token that are configured now.

    Raises:
        InvalidInput: the address or the token cannot be used.
    """
    global _runtime  # noqa: PLW0603  a process has one
    address = configured_address()
    with _lock:
        if _runtime is not None and _runtime.address != address:
            _runtime.close()
            _runtime = None
        if _runtime is None:
            _runtime = RemoteRuntime(address)
            _close_at_exit()
        return _runtime


def close_remote_runtime() -> None:
    """Close what answers in this process; the next call opens it again."""
    global _runtime
    with _lock:
        closing, _runtime = _runtime, None
    if closing is not None:
        closing.close()


def _leave() -> None:
    if _runtime is not None:
        _runtime.wait_for_threads()
    close_remote_runtime()


@cache
def _close_at_exit() -> None:
    """Close before the interpreter ends its thread pools, which look up names."""
    before_threads = getattr(threading, "_register_atexit", None)
    (before_threads or atexit.register)(_leave)


def _begin_anew() -> None:
    """Abandon, in a forked child, what the parent has: its thread is not here."""
    global _lock, _runtime
    abandon(_runtime)
    _lock, _runtime = threading.Lock(), None


on_fork(in_child=_begin_anew)
