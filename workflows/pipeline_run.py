"""The life of one pipeline: whatever is open in it is waited for, and executed when it comes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from kern.contracts.messages import Child, Nothing, PipelineOutcome, RunCursor, Work
from kern.workflows import steps
from kern.workflows.agent_run import AgentRun

# How many resolutions a new history is told of; whoever waits for older ones has long been told.
_REMEMBERED = 200
# From so many times its usual length on, a history takes nothing new.
_FAR_TOO_LONG = 3
# Runs below that take longer to end, as no worker hears of it, are not waited for.
_SOON = timedelta(seconds=30)


@workflow.defn(name="PipelineRun")
class PipelineRun(AgentRun):
    """A pump: an activity says what is open, each of it waits for people or runs, and executes.

    What comes next is nowhere in here. A new history asks for everything that is open.
    """

    @workflow.init
    def __init__(self, cursor: RunCursor) -> None:
        super().__init__(cursor)
        self._gates.resolved.update(cursor.heard)
        # In their order, in which they are cancelled too.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._below: set[asyncio.Task[None] | None] = set()
        # Those that are waited for or executed.
        self._lanes: set[str] = set()
        self._is_parting = False
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
        again = self._cursor.retries + 1
        self._cursor = self._cursor.model_copy(update={"retries": again})
        if self._is_parting:
            self._gates.ended = False

    async def _take_turns(self, cursor: RunCursor) -> None:
        self._is_reopened = False
        await self._serve_all(cursor)
        while self._is_reopened:
            self._is_reopened, self._over = False, False
            await self._serve_all(cursor)

    async def _serve_all(self, cursor: RunCursor) -> None:
        self._lanes.clear()
        try:
            self._begin(await self._execute(None))
            await workflow.wait_condition(lambda: self._over or self._may_move_on())
            if self._over and self._error is None and self._below:
                await self._part()
        except (asyncio.CancelledError, ActivityError):
            # Not in a `finally`: a workflow that leaves the cache passes through that, too.
            self._stop_all()
            raise
        if self._over:
            # Not those of a history that another one follows: that waits for the same.
            self._stop_all()
        if self._error is not None:
            raise self._error
        if not self._over:
            await self._move_on(cursor.turn)

    def _stop_all(self) -> None:
        # What they end with concerns nobody, also not a run that goes on again.
        stopped, self._tasks = self._tasks, {}
        for task in stopped:
            task.cancel()

    async def _part(self) -> None:
        """Let the runs below end, which SQL has cancelled with this one.

        What they tell of it would have the server refuse this workflow's end, and find that out
        only when the task times out.
        """
        if not workflow.patched("children-end-first"):
            return
        for task in self._tasks:
            if task not in self._below:
                task.cancel()
        self._is_parting = self._gates.ended = True
        try:
            with self._gates.working(), suppress(TimeoutError):
                await workflow.wait_condition(lambda: not self._below, timeout=_SOON)
        finally:
            self._is_parting = False

    async def _move_on(self, turn: int) -> None:
        heard = tuple(sorted(self._gates.resolved)[-_REMEMBERED:])
        self._cursor = self._cursor.model_copy(update={"heard": heard})
        await super()._move_on(turn)

    def _begin(self, outcome: PipelineOutcome) -> None:
        self._over = self._over or outcome.ended
        self._take_up(outcome.work)

    def _take_up(self, work: Sequence[Work]) -> None:
        for one in work:
            if one.lane in self._lanes:
                # What was told before is told again until it is taken: an answer may get lost.
                continue
            self._lanes.add(one.lane)
            task = asyncio.create_task(self._serve(one))
            self._tasks[task] = None
            task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _serve(self, work: Work) -> None:
        """Wait for what a piece of work waits for, and have it executed."""
        try:
            if work.gate is not None and not await self._gates.wait(work.gate):
                self._over = True
                return
            if work.child is not None:
                if work.delay:
                    await self._sleep(work.delay)
                await self._follow(work.child)
                if self._over:
                    return
            outcome = await self._execute(work.lane, work.name)
            self._lanes.discard(work.lane)
            self._begin(outcome)
        except ActivityError as error:
            if asyncio.current_task() in self._tasks and not self._is_parting:
                self._error, self._over = error, True

    async def _follow(self, child: Child) -> None:
        task = asyncio.current_task()
        self._below.add(task)
        try:
            await self._children.run(child)
        finally:
            self._below.discard(task)

    async def _sleep(self, seconds: float) -> None:
        with self._gates.working():
            await workflow.sleep(timedelta(seconds=seconds))

    async def _execute(self, lane: str | None, name: str = "") -> PipelineOutcome:
        with self._gates.working():
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

    def _may_move_on(self) -> bool:
        return self._executing == 0 and self._is_long(1)

    def _is_long(self, times: int) -> bool:
        suggested = times == 1 and workflow.info().is_continue_as_new_suggested()
        return suggested or self._executed >= self._cursor.turns_per_history * times
