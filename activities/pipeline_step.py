"""The activity that executes a pipeline's steps, one after another as far as they go."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from sqlmodel import Session
from temporalio import activity

from kern.activities.attempt import Attempt, Executions
from kern.activities.deleted import is_deleted
from kern.activities.failures import at_the_edge, not_here, try_again
from kern.activities.heartbeat import beating
from kern.activities.step_code import as_answer, as_output, called_with, step_input, told_of
from kern.activities.tool_loop import Ended, Raised, Returned
from kern.activities.tool_result import changes_of, error_text
from kern.checkpoints import reach
from kern.contracts import PipelineInput, PipelineOutcome, Work
from kern.db import steps
from kern.db.calls import Kept
from kern.db.engine import Database
from kern.db.outputs import no_run, run_row
from kern.db.step_work import backoff
from kern.db.steps import Evaluate, Execute, Finished, Task
from kern.errors import NotFound
from kern.ids import new_id
from kern.logs import get_logger
from kern.pipeline.frames import Phase
from kern.pipeline.laying import Code
from kern.pipeline.nodes import Node
from kern.pipeline.values import StepInput, StepOutput
from kern.registry import Registry
from kern.states import ToolOutcome
from kern.workflow import Workflow

_log = get_logger("kern.pipeline")

# After so long an activity gives its place to others; what remains is asked for at once.
_LONGEST_SECONDS = 20.0
_EVALUATION_SECONDS = 600.0
_EVALUATION_TRIES = 3
_EVALUATION_PAUSE = 0.2


class PipelineSteps:
    """Executes steps for the workflows of one process."""

    def __init__(self, db: Database, registry: Registry, executions: Executions) -> None:
        self._db = db
        self._registry = registry
        self._executions = executions

    @activity.defn(name="pipeline_step")
    async def pipeline_step(self, ask: PipelineInput) -> PipelineOutcome:
        """Execute a lane of a pipeline until it waits, ends or becomes several."""
        with at_the_edge(ask.run_id):
            async with beating():
                try:
                    return await self._go(ask)
                except NotFound:
                    if await is_deleted(self._db, ask.run_id):
                        return PipelineOutcome(ended=True)
                    raise

    async def _go(self, ask: PipelineInput) -> PipelineOutcome:
        lane = ask.lane
        if lane is None:
            begun = await self._begin(ask.run_id)
            if begun.ended or len(begun.work) != 1 or _waits(begun.work[0]):
                return begun
            lane = begun.work[0].lane
        until = time.monotonic() + _LONGEST_SECONDS
        while True:
            token = new_id()
            task = await self._take(ask.run_id, lane, token)
            if isinstance(task, PipelineOutcome):
                return task
            if isinstance(task, Execute):
                await self._execute(task, token)
            else:
                await self._evaluate(task)
            if time.monotonic() > until or activity.is_worker_shutdown():
                return PipelineOutcome(work=(Work(lane=lane),))

    async def _take(self, run_id: str, lane: str, token: str) -> Task:
        now = datetime.now(UTC)
        reach("step.before_take")
        task = await self._db.write(lambda tx: steps.take(tx, run_id, lane, token, now))
        reach("step.after_take")
        return task

    async def _begin(self, run_id: str) -> PipelineOutcome:
        component_id = await self._db.read(lambda tx: _component_of(tx, run_id))
        shape, now = self._workflow(component_id).layout.shape, datetime.now(UTC)
        reach("pipeline.before_begin")
        begun = await self._db.write(lambda tx: steps.begin(tx, run_id, shape, now))
        reach("pipeline.after_begin")
        return begun

    async def _execute(self, task: Execute, token: str) -> None:
        attempt = _StepAttempt(self._db, task, token, await step_input(self._db, task))
        layout = self._workflow(task.facts.component_id).layout
        function, node = layout.code.get(task.node, Code()).main, layout.shape.by_id.get(task.node)
        if function is None or node is None:
            await attempt.give_back(f"The step {task.node!r} is not in this worker.")
            raise not_here("The step is not in this worker")
        attempt.backoff = node.backoff
        _log.info("step_started", run_id=task.facts.run_id, step=task.node)
        await self._executions.wait(attempt, called_with(function, attempt.given), {})

    async def _evaluate(self, task: Evaluate) -> None:
        """Ask the user's code a question: it changes nothing and may be asked again."""
        layout, judges = self._workflow(task.facts.component_id).layout, task.phase is Phase.judge
        node, code = layout.shape.by_id.get(task.node), layout.code.get(task.node, Code())
        function = code.review_when if judges else code.main
        if node is None or function is None:
            raise not_here("The step is not in this worker")
        given = StepOutput(content=task.content) if judges else await step_input(self._db, task)
        names = [layout.shape.by_id[child].name for child in node.children]
        why = ""
        for tries in range(1, _EVALUATION_TRIES + 1):
            ended = await self._executions.call(
                called_with(function, given), {}, _EVALUATION_SECONDS
            )
            if isinstance(ended, Raised) and judges:
                # As with gates: whatever does not say False has a person look.
                ended = Returned(value=True)
            if isinstance(ended, Returned):
                ended = await self._answer(task, node, names, ended.value)
            if isinstance(ended, Returned):
                return
            why = told_of(ended.error)
            await asyncio.sleep(_EVALUATION_PAUSE * tries)
        now = datetime.now(UTC)
        await self._db.write(lambda tx: steps.broke(tx, task, why, now))

    async def _answer(
        self, task: Evaluate, node: Node, names: list[str], value: object
    ) -> Ended[object]:
        try:
            answer = as_answer(task.phase, node.kind, names, value)
        except ValueError as error:
            return Raised(error)
        now = datetime.now(UTC)
        reach("step.before_answer")
        await self._db.write(lambda tx: steps.answer(tx, task, answer, now))
        reach("step.after_answer")
        return Returned(value)

    def _workflow(self, component_id: str) -> Workflow:
        component = self._registry.get(component_id)
        if not isinstance(component, Workflow):
            message = (
                f"The component {component_id!r} is a {component.kind}, but the run needs a "
                "workflow."
            )
            raise NotFound(message)
        return component


class _StepAttempt(Attempt[Finished]):
    """One attempt at a step's function."""

    def __init__(self, db: Database, task: Execute, token: str, given: StepInput) -> None:
        super().__init__(db, task.execution, token, "step")
        self.given = given
        self.backoff = 0.0
        self._task = task

    async def end(self, ended: Ended[Finished], *, may_retry: bool = True) -> None:
        """Store what the function came to, or give the call back for another try."""
        match ended:
            case Returned(finished):
                await self._keep(finished)
            case Raised(error) if may_retry and self.taken.attempt <= self.taken.retries:
                await self.give_back(error_text(error))
                wait = timedelta(seconds=backoff(self.backoff, self.taken.attempt))
                raise try_again("step_failed", "The step raised and is tried again", wait)
            case Raised(error):
                await self._keep(Finished(ToolOutcome.error, error=told_of(error)))

    def outcome_of(self, value: object) -> Finished:
        """Return what is kept of a value that the function returned."""
        output, changes = as_output(value), changes_of(self.given.session_state)
        if isinstance(changes, str):
            why = f"What it changed in the session's state could not be kept: {changes}"
            return Finished(ToolOutcome.error, error=why)
        return Finished(ToolOutcome.result, output.content, output.stop, changes=changes)

    async def _keep(self, finished: Finished) -> None:
        now = datetime.now(UTC)
        reach("step.before_store")
        kept = await self._db.write(
            lambda tx: steps.finish(tx, self._task, self._token, finished, now)
        )
        reach("step.after_store")
        level = _log.warning if kept is Kept.fenced else _log.info
        facts = self._task.facts
        level(
            "step_ended",
            run_id=facts.run_id,
            session_id=facts.session_id,
            step=self._task.node,
            outcome=finished.outcome,
            kept=kept,
        )


def _component_of(tx: Session, run_id: str) -> str:
    run = run_row(tx, run_id)
    if run is None:
        raise no_run(run_id)
    return run.component_id


def _waits(work: Work) -> bool:
    return work.gate is not None or work.child is not None
