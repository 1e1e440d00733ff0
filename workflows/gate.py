"""Waiting for people.

Which requirements are open, which are resolved, which runs inside this one wait, and whether the
run stands still.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import workflow

from kern.contracts.messages import ExpiryOutcome, Gate, StopQuery, Told
from kern.workflows import steps

# A row that is not due yet for the clock of its worker is looked at again after this time.
_CLOCKS_DIFFER = timedelta(seconds=1)


class Gates:
    """What a run knows of its requirements: ids, and nothing of what was decided."""

    def __init__(self, heartbeat: float) -> None:
        self._heartbeat = heartbeat
        self.resolved: set[str] = set()
        self.waiting: set[str] = set()
        self._busy = 0
        self.ended = False
        # The runs right below this one that have not ended, and whether each stands still.
        self.below: dict[str, bool] = {}
        # Counts what changes, so that what was stored of an earlier state is known as such.
        self.news = 0

    @property
    def stands_still(self) -> bool:
        """Whether nothing happens until somebody decides, or nothing will ever happen again."""
        if self.ended:
            return True
        # Somebody who waits for what is resolved has not woken up yet, but will.
        waits = bool(self.waiting) or bool(self.below)
        woken = not self.waiting.isdisjoint(self.resolved) or not all(self.below.values())
        return self._busy == 0 and waits and not woken

    @contextmanager
    def working(self) -> Generator[None]:
        """Have the run not stand still within the block, whatever it waits for."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def has_heard(self, query: StopQuery) -> bool:
        """Whether the run knows of all resolutions of which the caller knows."""
        return all(
            one in self.resolved or (one in query.through and query.through[one] not in self.below)
            for one in query.resolved
        )

    def told(self, news: Told) -> None:
        """Take in where a run below stands."""
        self.news += 1
        self.resolved.update(news.heard)
        if news.run_id in self.below:
            self.below[news.run_id] = news.stands_still
            if news.ended:
                del self.below[news.run_id]

    async def wait(self, gate: Gate) -> bool:
        """Wait until a requirement is resolved or expired; False when that ended the run.

        The row decides: the timer only makes an activity look at it.
        """
        current: Gate | None = gate
        least = timedelta(0)
        while current is not None and not await self._hear(current, least):
            outcome = await self._look(current)
            if outcome.run_ended:
                return False
            current, least = outcome.gate, _CLOCKS_DIFFER
        return True

    async def _hear(self, gate: Gate, least: timedelta) -> bool:
        """Wait for the signal; False when the deadline passed first."""
        left = None if gate.due_at is None else max(gate.due_at - workflow.now(), least)
        self.waiting.add(gate.requirement_id)
        try:
            await workflow.wait_condition(
                lambda: gate.requirement_id in self.resolved, timeout=left
            )
        except TimeoutError:
            return False
        finally:
            self.waiting.discard(gate.requirement_id)
            self.news += 1
        return True

    async def _look(self, gate: Gate) -> ExpiryOutcome:
        with self.working():
            return await steps.expire(gate.requirement_id, self._heartbeat)
