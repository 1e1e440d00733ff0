"""What a workflow knows of its run's requirements and children, and whether the run is idle.

A run is *idle* when nothing happens until a person decides. Clients wait for that moment, and a
parent run's row is set to `paused` by it, so it must not be reported too early. Three things keep a
run from being idle although it waits for a requirement:

- an activity is being executed (`working`);
- the requirement is resolved, but the coroutine that waits for it has not been resumed yet;
- a child run is active.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import workflow

from kern.contracts.messages import ExpiryOutcome, Gate, RunCursor, StopQuery, Told
from kern.workflows import steps

# Clocks differ: a deadline that has not passed on the worker's clock is checked again after this.
_RECHECK = timedelta(seconds=1)


class Gates:
    """The ids of a run's requirements and children; the decisions are in SQL."""

    def __init__(self, cursor: RunCursor) -> None:
        self._cursor = cursor
        self.resolved: set[str] = set()
        self.waiting: set[str] = set()
        self._busy = 0
        self.ended = False
        # Nobody is waited for any more: the run has ended, and its requirements with it.
        self._are_closed = False
        # The child runs that have not ended, and whether each is idle.
        self.children: dict[str, bool] = {}
        # Counts changes: whoever stored something about the state sees whether it is still current.
        self.version = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing happens until a person decides, or the run has ended."""
        if self.ended:
            return True
        is_waiting = bool(self.waiting) or bool(self.children)
        # A coroutine that waits for a resolved requirement is about to be resumed.
        is_about_to_continue = not self.waiting.isdisjoint(self.resolved)
        are_children_idle = all(self.children.values())
        return self._busy == 0 and is_waiting and not is_about_to_continue and are_children_idle

    @contextmanager
    def working(self) -> Generator[None]:
        """Keep the run from being idle within the block, whatever else it waits for."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Wait for nobody any more: the run has ended, and nobody decides what was open in it."""
        self._are_closed = True

    def knows_all(self, query: StopQuery) -> bool:
        """Whether the run knows all the resolutions that the caller knows.

        A resolution in a child run that has ended is not reported any more, and counts as known.
        """
        return all(
            requirement_id in self.resolved
            or (
                requirement_id in query.through
                and query.through[requirement_id] not in self.children
            )
            for requirement_id in query.resolved
        )

    def take_report(self, report: Told) -> None:
        """Take note of the state of a child run."""
        self.version += 1
        self.resolved.update(report.heard)
        if report.run_id in self.children:
            self.children[report.run_id] = report.stands_still
            if report.ended:
                del self.children[report.run_id]

    async def wait(self, gate: Gate) -> bool:
        """Wait until a requirement is resolved or expired; return False if that ended the run.

        The row decides. The timer only has an activity look at the row, which may answer with a
        later deadline: clocks differ, and an escalation or a reminder may come first.
        """
        current: Gate | None = gate
        shortest = timedelta(0)
        while current is not None and not await self._wait_for_signal(current, shortest):
            if self._are_closed:
                return False
            outcome = await self._expire(current)
            if outcome.run_ended:
                return False
            current, shortest = outcome.gate, _RECHECK
        return True

    async def _wait_for_signal(self, gate: Gate, shortest: timedelta) -> bool:
        """Wait for the signal; return False if the deadline or the end of the run comes first."""
        remaining = None if gate.due_at is None else max(gate.due_at - workflow.now(), shortest)
        self.waiting.add(gate.requirement_id)
        try:
            await workflow.wait_condition(
                lambda: self._are_closed or gate.requirement_id in self.resolved, timeout=remaining
            )
        except TimeoutError:
            return False
        finally:
            self.waiting.discard(gate.requirement_id)
            self.version += 1
        return gate.requirement_id in self.resolved

    async def _expire(self, gate: Gate) -> ExpiryOutcome:
        with self.working():
            return await steps.expire(gate.requirement_id, self._cursor)
