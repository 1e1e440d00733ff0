"""Wakes local waiters when a run becomes idle."""

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from kern.process.wakeup import Bell


class Stops:
    """The waiters of this process, by run.

    A notification is only a hint: what another process commits is not heard, and an idle run may
    continue before anybody looks. The run's row decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: dict[str, set[Bell]] = {}

    @contextmanager
    def watch(self, run_id: str) -> Generator[Bell]:
        """Return a bell that rings whenever a run becomes idle, for the duration of the block."""
        bell = Bell()
        with self._lock:
            self._bells.setdefault(run_id, set()).add(bell)
        try:
            yield bell
        finally:
            with self._lock:
                group = self._bells[run_id]
                group.discard(bell)
                if not group:
                    del self._bells[run_id]

    def notify(self, run_ids: Iterable[str]) -> None:
        """Wake the waiters of these runs: a transaction that made them idle was committed."""
        with self._lock:
            for run_id in run_ids:
                for bell in self._bells.get(run_id, ()):
                    bell.ring()

    @property
    def size(self) -> int:
        """The number of runs that have waiters."""
        return len(self._bells)
