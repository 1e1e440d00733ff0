"""The workflow of one pipeline: it waits for each open piece of work, and has it executed.

It is a pump. An activity executes a *lane*, step after step, as long as one step follows another,
and returns the pieces of work that are open then: each names a lane, and perhaps a requirement or a
child run to wait for first. The workflow serves each piece in a task of its own: it waits, executes
the lane, and takes up the pieces that this returns. The order of steps is in SQL
(`kern/pipeline/machine.py`), never here. So this code is the same for every workflow that users
declare, and a new history only has to ask what is open (`_execute(None)`).

A piece of work is returned again and again until its lane is taken, since an answer may get lost;
`_lanes` has those that are served already.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from kern.contracts.messages import Child, Nothing, OpenWork, PipelineOutcome, RunCursor, Work
from kern.workflows import steps
from kern.workflows.agent_run import AgentRun

# The resolutions that a new history gets; those who wait for older ones were answered long ago.
_REMEMBERED = 200
# From so many times its usual length on, a history begins nothing new.
_FAR_TOO_LONG = 3
# How long to wait for child runs to end: without a worker they never would.
_CHILDREN_END = timedelta(seconds=30)


@workflow.defn(name="PipelineRun")
class PipelineRun(AgentRun):
    """Serves the open work of one pipeline until the run has ended."""

    @workflow.init
    def __init__(self, cursor: RunCursor) -> None:
        super().__init__(cursor)
        self._gates.resolved.update(cursor.heard)
        # A dict, since it keeps the order in which they are cancelled, which a replay must repeat.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._child_tasks: set[asyncio.Task[None] | None] = set()
        # The lanes that are being served.
        self._lanes: set[str] = set()
        self._is_ending_children = False
        self._error: BaseException | None = None
        self._is_over = False
        self._executing = 0
        self._executed = 0

    @workflow.run
    async def run(self, cursor: RunCursor) -> None:
        """Serve what is open until the run has ended."""
        await super().run(cursor)

    @workflow.query(name="open_work")
    def open_work(self) -> OpenWork:
        """As an agent's run does, with the lanes that are served."""
        return super().open_work().model_copy(update={"lanes": tuple(sorted(self._lanes))})

    @workflow.signal(name="poked")
    async def poked(self, ask: Nothing) -> None:  # noqa: ARG002  every message has one
        """Ask what is open, and serve what is not served: an outcome was forgotten."""
        with suppress(ActivityError):
            outcome = await self._execute(None)
            if not self._is_over:
                self._begin(outcome)

    @workflow.signal(name="reopened")
    def reopened(self, ask: Nothing) -> None:
        """Take note that the failed run continues, maybe while this workflow was about to end."""
        super().reopened(ask)
        if self._is_ending_children:
            self._gates.ended = False

    async def _take_turns(self, cursor: RunCursor) -> None:
        self._is_reopened = False
        await self._serve_all(cursor)
        while self._is_reopened:
            self._is_reopened, self._is_over = False, False
            await self._serve_all(cursor)

    async def _serve_all(self, cursor: RunCursor) -> None:
        self._lanes.clear()
        try:
            self._begin(await self._execute(None))
            await workflow.wait_condition(lambda: self._is_over or self._may_move_on())
            if self._is_over and self._error is None and self._child_tasks:
                await self._end_children()
        except (asyncio.CancelledError, ActivityError):
            # Not in `finally`: a workflow that is dropped from the cache passes through that, too,
            # and would issue commands there.
            self._stop_all()
            raise
        if self._is_over:
            # Only now: if another history follows, it waits for the same children.
            self._stop_all()
        if self._error is not None:
            raise self._error
        if not self._is_over:
            await self._move_on(cursor.turn)

    def _stop_all(self) -> None:
        # They are forgotten first, so that their errors do not fail a run that is reopened.
        tasks, self._tasks = self._tasks, {}
        for task in tasks:
            task.cancel()

    async def _end_children(self) -> None:
        """Wait for the child runs to end, which SQL has cancelled together with this one.

        Otherwise their reports arrive while this workflow completes. The server then rejects the
        completion, and the workflow task is only tried again after its timeout.
        """
        if not workflow.patched("children-end-first"):
            return
        for task in self._tasks:
            if task not in self._child_tasks:
                task.cancel()
        self._is_ending_children = self._gates.ended = True
        try:
            with self._gates.working(), suppress(TimeoutError):
                await workflow.wait_condition(lambda: not self._child_tasks, timeout=_CHILDREN_END)
        finally:
            self._is_ending_children = False

    async def _move_on(self, turn: int) -> None:
        resolved = tuple(sorted(self._gates.resolved)[-_REMEMBERED:])
        self._cursor = self._cursor.model_copy(update={"heard": resolved})
        await super()._move_on(turn)

    def _begin(self, outcome: PipelineOutcome) -> None:
        self._is_over = self._is_over or outcome.ended
        self._take_up(outcome.work)

    def _take_up(self, work: Sequence[Work]) -> None:
        for piece in work:
            if piece.lane in self._lanes:
                continue
            self._lanes.add(piece.lane)
            task = asyncio.create_task(self._serve(piece))
            self._tasks[task] = None
            task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _serve(self, work: Work) -> None:
        """Wait for the requirement or the child of a piece of work, then execute its lane."""
        try:
            if work.gate is not None and not await self._gates.wait(work.gate):
                self._is_over = True
                return
            if work.child is not None:
                if work.delay:
                    await self._sleep(work.delay)
                await self._follow(work.child)
                if self._is_over:
                    return
            outcome = await self._execute(work.lane, work.name)
            self._lanes.discard(work.lane)
            self._begin(outcome)
        except ActivityError as error:
            if asyncio.current_task() in self._tasks and not self._is_ending_children:
                self._error, self._is_over = error, True

    async def _follow(self, child: Child) -> None:
        task = asyncio.current_task()
        self._child_tasks.add(task)
        try:
            await self._children.run(child)
        finally:
            self._child_tasks.discard(task)

    async def _sleep(self, seconds: float) -> None:
        with self._gates.working():
            await workflow.sleep(timedelta(seconds=seconds))

    async def _execute(self, lane: str | None, name: str = "") -> PipelineOutcome:
        with self._gates.working():
            await workflow.wait_condition(lambda: not self._is_long(_FAR_TOO_LONG))
            self._executing += 1
            # Asking what is open does not count: a new history must execute something before the
            # next one follows.
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
