"""The life of one pipeline: whatever is open in it is waited for, and executed when it comes."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from kern.contracts import Nothing, PipelineOutcome, RunCursor, Work
from kern.workflows import steps
from kern.workflows.agent_run import AgentRun

# How many resolutions a new history is told of; whoever waits for older ones has long been told.
_REMEMBERED = 200
# From so many times its usual length on, a history takes nothing new.
_FAR_TOO_LONG = 3


@workflow.defn(name="PipelineRun")
class PipelineRun(AgentRun):
    """A pump: an activity says what is open, each of it waits for people or runs, and executes.

    What comes next is nowhere in here. A new history asks for everything that is open.
    """

    @workflow.init
    def __init__(self, cursor: RunCursor) -> None:
        super().__init__(cursor)
        self._gates.resolved.update(cursor.heard)
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self._over = False
        self._is_reopened = False
        self._executing = 0
        self._executed = 0

    @workflow.run
    async def run(self, cursor: RunCursor) -> None:
        """Serve what is open until the run has ended."""
        await super().run(cursor)

    @workflow.signal(name="reopened")
    def reopened(self, ask: Nothing) -> None:  # noqa: ARG002  every message has one
        """Hear that the run goes on again, maybe while this workflow was about to end."""
        self._is_reopened = True

    async def _take_turns(self, cursor: RunCursor) -> None:
        self._is_reopened = False
        await self._serve_all(cursor)
        while self._is_reopened:
            self._is_reopened, self._over = False, False
            await self._serve_all(cursor)

    async def _serve_all(self, cursor: RunCursor) -> None:
        try:
            self._begin(await self._execute(None))
            await workflow.wait_condition(lambda: self._over or self._may_move_on())
        finally:
            if self._over or not self._may_move_on():
                # Not those of a history that another one follows: that waits for the same.
                for task in self._tasks:
                    task.cancel()
        if self._error is not None:
            raise self._error
        if not self._over:
            await self._move_on(cursor.turn)

    async def _move_on(self, turn: int) -> None:
        heard = tuple(sorted(self._gates.resolved)[-_REMEMBERED:])
        self._cursor = self._cursor.model_copy(update={"heard": heard})
        await super()._move_on(turn)

    def _begin(self, outcome: PipelineOutcome) -> None:
        self._over = self._over or outcome.ended
        for work in outcome.work:
            task = asyncio.create_task(self._serve(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, work: Work) -> None:
        """Wait for what a piece of work waits for, and have it executed."""
        try:
            if work.gate is not None and not await self._gates.wait(work.gate):
                self._over = True
                return
            if work.child is not None:
                if work.delay:
                    await self._sleep(work.delay)
                await self._children.run(work.child)
            self._begin(await self._execute(work.lane, work.name))
        except ActivityError as error:
            self._error, self._over = error, True

    async def _sleep(self, seconds: float) -> None:
        self._gates.busy += 1
        try:
            await workflow.sleep(timedelta(seconds=seconds))
        finally:
            self._gates.busy -= 1

    async def _execute(self, lane: str | None, name: str = "") -> PipelineOutcome:
        self._gates.busy += 1
        try:
            await workflow.wait_condition(lambda: not self._is_long(_FAR_TOO_LONG))
            self._executing += 1
            # Asking what is open is no progress: a history that only did this must go on.
            self._executed += lane is not None
            try:
                return await steps.pipeline_step(
                    self._cursor.run_id, lane, self._cursor.heartbeat, name
                )
            finally:
                self._executing -= 1
        finally:
            self._gates.busy -= 1

    def _may_move_on(self) -> bool:
        return self._executing == 0 and self._is_long(1)

    def _is_long(self, times: int) -> bool:
        suggested = times == 1 and workflow.info().is_continue_as_new_suggested()
        return suggested or self._executed >= self._cursor.turns_per_history * times
