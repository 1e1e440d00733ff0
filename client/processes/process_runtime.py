"""The one runtime of this process: begun by the first run, and closed when the process ends."""

import atexit
import gc
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from kern.client.processes.exit import exit_now
from kern.client.processes.operator_runtime import OperatorRuntime
from kern.client.processes.runtime import Runtime
from kern.components.component import Component
from kern.components.registry import Registry
from kern.contracts.database import Database
from kern.db.engine.databases import store_of
from kern.db.engine.store import Store
from kern.errors import Unavailable
from kern.process.forks import abandon, on_fork
from kern.process.settings import Settings, read_settings

_INTERRUPTED = 130

_lock = threading.Lock()
_runtime: Runtime | None = None
_operator: OperatorRuntime | None = None
_is_over = False


def runtime_for(component: Component) -> Runtime:
    """Return this process's runtime with `component` in it, starting it at the first call."""
    global _runtime  # noqa: PLW0603  a process has one runtime
    running = running_for(component)
    if running is not None:
        return running
    with _lock:
        _check_running()
        if _runtime is None:
            _runtime = Runtime(read_settings(), _store(component.db))
            _close_at_exit()
        _runtime.add(component)
        return _runtime


def operator_runtime() -> Runtime | OperatorRuntime:
    """Return what answers operators' programs: this process's runtime if it has one.

    Raises:
        Unavailable: the database does not answer, or this process is shutting down.
    """
    global _operator  # noqa: PLW0603  as above
    with _lock:
        _check_running()
        if _runtime is not None:
            return _runtime
        if _operator is None:
            _operator = OperatorRuntime(read_settings())
            _close_at_exit()
        return _operator


def running_for(component: Component) -> Runtime | None:
    """Return this process's runtime if `component` is in it already; never waits for anything."""
    runtime = _runtime
    return runtime if runtime is not None and runtime.has(component) else None


@contextmanager
def isolated(home: Path, db: Database | None) -> Generator[Runtime]:
    """Put a runtime of its own in this process's place while the block lasts."""
    global _runtime  # noqa: PLW0603  a process has one runtime
    runtime = Runtime(Settings(home=home), _store(db), Registry())
    with _lock:
        before, _runtime = _runtime, runtime
    try:
        yield runtime
    finally:
        with _lock:
            _runtime = before
        runtime.close()


def _store(database: Database | None) -> Store | None:
    return None if database is None else store_of(database)


def close_runtime() -> None:
    """Close this process's runtime; the next run starts another one."""
    global _runtime, _operator
    with _lock:
        closing, _runtime = _runtime, None
        operator, _operator = _operator, None
    if operator is not None:
        operator.close()
    if closing is not None:
        closing.close()
        # Objects of the SDK that outlive the interpreter abort it (exit code 134).
        del closing
        gc.collect()
        time.sleep(0.1)


def _leave() -> None:
    """Close as the interpreter ends, which waits for threads that may wait for runs."""
    global _is_over  # noqa: PLW0603  a process ends once
    try:
        for runtime in (_runtime, _operator):
            if runtime is not None:
                runtime.wait_for_threads()
        with _lock:
            _is_over = True
        close_runtime()
    except KeyboardInterrupt:
        # Whoever presses Ctrl-C now does not want to wait for that.
        exit_now(_INTERRUPTED)


@cache
def _close_at_exit() -> None:
    """Close before the interpreter ends its thread pools, without which nothing closes."""
    before_threads = getattr(threading, "_register_atexit", None)
    (before_threads or atexit.register)(_leave)


def _begin_anew() -> None:
    """Abandon, in a forked child, the runtime of the parent: its thread is not here."""
    global _lock, _runtime, _operator
    abandon(_runtime, _operator)
    _lock, _runtime, _operator = threading.Lock(), None, None


def _check_running() -> None:
    if _is_over:
        message = "This process is shutting down: it begins no more runs."
        raise Unavailable(message)


on_fork(in_child=_begin_anew)
