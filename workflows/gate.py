"""Waiting for people.

Which requirements are open, which are resolved, and whether the run stands still.
"""

from datetime import timedelta

from temporalio import workflow

from kern.contracts import ExpiryOutcome, Gate
from kern.workflows import steps

# A row that is not due yet for the clock of its worker is looked at again after this time.
_CLOCKS_DIFFER = timedelta(seconds=1)


class Gates:
    """What a run knows of its requirements: ids, and nothing of what was decided."""

    def __init__(self, heartbeat: float) -> None:
        self._heartbeat = heartbeat
        self.resolved: set[str] = set()
        self.waiting: set[str] = set()
        self.busy = 0
        self.ended = False

    @property
    def stands_still(self) -> bool:
        """Whether nothing happens until somebody decides, or nothing will ever happen again."""
        if self.ended:
            return True
        # Somebody who waits for what is resolved has not woken up yet, but will.
        return self.busy == 0 and bool(self.waiting) and self.waiting.isdisjoint(self.resolved)

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
        return True

    async def _look(self, gate: Gate) -> ExpiryOutcome:
        self.busy += 1
        try:
            return await steps.expire(gate.requirement_id, self._heartbeat)
        finally:
            self.busy -= 1
