"""Wakes local waiters when a run becomes idle."""

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from kern.process.wakeup import Wakeup


class Stops:
    """The waiters of this process, by run.

    A notification is only a hint: what another process commits is not heard, and an idle run may
    continue before anybody looks. The run's row decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakeups: dict[str, set[Wakeup]] = {}

    @contextmanager
    def watch(self, run_id: str) -> Generator[Wakeup]:
        """Return what is notified whenever a run becomes idle, while the block lasts."""
        wakeup = Wakeup()
        with self._lock:
            self._wakeups.setdefault(run_id, set()).add(wakeup)
        try:
            yield wakeup
        finally:
            with self._lock:
                group = self._wakeups[run_id]
                group.discard(wakeup)
                if not group:
                    del self._wakeups[run_id]

    def notify(self, run_ids: Iterable[str]) -> None:
        """Wake the waiters of these runs: a transaction that made them idle was committed."""
        with self._lock:
            for run_id in run_ids:
                for wakeup in self._wakeups.get(run_id, ()):
                    wakeup.notify()

    @property
    def size(self) -> int:
        """The number of runs that have waiters."""
        return len(self._wakeups)
