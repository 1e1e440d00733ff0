"""Tells those in this process who wait for a run that it has come to stand still."""

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from kern.process.wakeup import Bell


class Stops:
    """Who waits for which run in this process.

    What they hear is a hint, never the whole truth: what another process commits is not heard, and
    a run that stood still may go on before anybody looks. Its row decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: dict[str, set[Bell]] = {}

    @contextmanager
    def watch(self, run_id: str) -> Generator[Bell]:
        """Have a bell rung at every stop of a run while the block lasts."""
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

    def tell(self, run_ids: Iterable[str]) -> None:
        """Tell that a transaction was committed in which these runs came to stand still."""
        with self._lock:
            for run_id in run_ids:
                for bell in self._bells.get(run_id, ()):
                    bell.ring()

    @property
    def size(self) -> int:
        """How many runs are waited for."""
        return len(self._bells)
