"""One activity's visit to a lane: it takes one task after another, until the lane waits."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from pydantic import JsonValue
from sqlmodel import Session
from temporalio import activity

from kern.activities.executions import Executions
from kern.activities.failures import try_again
from kern.contracts.messages import PipelineOutcome, Work
from kern.db.engine.store import Store
from kern.db.steps import transactions
from kern.db.steps.tasks import Evaluate, Execute, InProgress, Task
from kern.db.turns.attempts import Execution
from kern.pipeline.strictness import DeclaredPolicy
from kern.process.checkpoints import reach
from kern.values.ids import new_id

# After so long an activity ends, so that others get its place; the next one starts at once.
_LONGEST_SECONDS = 20.0


class Visit:
    """One activity's visit to a lane.

    The end of one step is stored together with the beginning of the next: one transaction a step.
    `declared_by` returns what this process declares for a component.
    """

    def __init__(
        self,
        db: Store,
        executions: Executions,
        run_id: str,
        lane: str,
        declared_by: Callable[[str], DeclaredPolicy | None],
    ) -> None:
        self.token = new_id()
        self._next_token = ""
        self._db = db
        self._executions = executions
        self._run_id, self._lane, self._declared_by = run_id, lane, declared_by
        self._until = time.monotonic() + _LONGEST_SECONDS
        self.place = executions.places.try_take()

    def leave(self) -> None:
        """Give the place back."""
        if self.place is not None:
            self.place.leave()

    def lent_place(self, name: str) -> AbstractContextManager[None]:
        """Let the code of a step in the block give the place back when it waits for a run."""
        if self.place is None:
            return nullcontext()
        self.place.name = name
        return self.place.lent()

    async def wait_for_place(self) -> Task:
        """Wait for a place to execute code in, and return the next task."""
        await self.occupy()
        return await self.take()

    async def occupy(self, name: str = "") -> None:
        """Have a place for the code of a step."""
        if not self._has_place:
            self.leave()
            before = time.monotonic()
            self.place = await self._executions.places.take()
            self._until += time.monotonic() - before
        if self.place is not None:
            self.place.name = name

    @property
    def _has_place(self) -> bool:
        return self.place is not None and self.place.is_free

    async def take(self) -> Task:
        """Return the next task."""
        return await self.store(lambda _tx, _now: None, "step.before_take", "step.after_take")

    async def look_after(self, attempt: InProgress) -> Task:
        """Wait for a live attempt at the step, and return the next task."""
        if attempt.token is None:
            raise try_again("superseded", "A newer attempt has taken the step")
        before = time.monotonic()
        await self._executions.live.until_over(attempt.token)
        self._until += time.monotonic() - before
        return await self.take()

    async def answer(self, task: Evaluate, answer: Sequence[JsonValue]) -> Task:
        """Store an answer, and return the next task."""
        points = ("step.before_answer", "step.after_answer")
        return await self.store(lambda tx, now: transactions.answer(tx, task, answer, now), *points)

    async def give_up(self, task: Evaluate, why: str) -> Task:
        """Store that there is no answer, and return the next task."""
        points = ("step.before_answer", "step.after_answer")
        return await self.store(lambda tx, now: transactions.broke(tx, task, why, now), *points)

    async def miss(self, task: Evaluate, why: str) -> None:
        """Record that this worker does not have the code."""
        now = datetime.now(UTC)
        await self._db.write(lambda tx: transactions.missed(tx, task, why, now))

    async def store(
        self, write: Callable[[Session, datetime], object], before: str, after: str
    ) -> Task:
        """Store something between two points, and return the next task."""
        # The same until it is stored: the database may have it although it did not say so.
        token = self._next_token = self._next_token or new_id()
        now = datetime.now(UTC)
        is_last = time.monotonic() > self._until or activity.is_worker_shutdown()
        claim = self._executions.claim(token) if self._has_place else None

        def store_and_take(tx: Session) -> Task:
            write(tx, now)
            if is_last:
                return PipelineOutcome(work=(Work(lane=self._lane),))
            return transactions.take(
                tx, self._run_id, self._lane, claim, now, declared_by=self._declared_by
            )

        reach(before)
        task = await self._executions.begin(store_and_take, _execution_of, token)
        reach(after)
        self.token, self._next_token = token, ""
        return task


def _execution_of(task: Task) -> Execution | None:
    return task.execution if isinstance(task, Execute) else None
