"""Tells those in this process who wait for a run that it has come to stand still."""

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self


class StopWatch:
    """One who waits for a run, on the event loop on which it was made; used in a `with` block.

    A hint, never the whole truth: what another process commits is not heard, and a run that stood
    still may go on before anybody looks. Its row decides.
    """

    def __init__(self, stops: "Stops", run_id: str) -> None:
        self._stops, self._run_id = stops, run_id
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()

    def __enter__(self) -> Self:
        self._stops.add(self._run_id, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stops.remove(self._run_id, self)

    def tell(self) -> None:
        """Have whoever waits look; from any thread."""
        # A loop that was closed has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told.set)

    async def wait(self) -> None:
        """Wait until the run has stopped since the block began, or since the last wait ended."""
        await self._told.wait()
        self._told.clear()


class Stops:
    """Who waits for which run in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[str, set[StopWatch]] = {}

    def watch(self, run_id: str) -> StopWatch:
        """Return a watch that hears of every stop of a run while its block lasts."""
        return StopWatch(self, run_id)

    def tell(self, run_ids: Iterable[str]) -> None:
        """Tell that a transaction was committed in which these runs came to stand still."""
        with self._lock:
            for run_id in run_ids:
                for watch in self._watches.get(run_id, ()):
                    watch.tell()

    @property
    def size(self) -> int:
        """How many runs are waited for."""
        return len(self._watches)

    def add(self, run_id: str, watch: StopWatch) -> None:
        """Have a watch hear of a run."""
        with self._lock:
            self._watches.setdefault(run_id, set()).add(watch)

    def remove(self, run_id: str, watch: StopWatch) -> None:
        """Have it hear no more."""
        with self._lock:
            group = self._watches.get(run_id, set())
            group.discard(watch)
            if not group:
                self._watches.pop(run_id, None)
