"""The activity that executes the steps of one lane, one after another until the lane waits."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue
from sqlmodel import Session
from temporalio import activity

from kern.activities.attempt import Attempt, Executions
from kern.activities.failures import at_the_edge, is_deleted, not_here, try_again
from kern.activities.heartbeat import beating
from kern.activities.step_code import (
    as_answer,
    as_output,
    called_with,
    read_step_input,
    step_error_text,
)
from kern.activities.tool_loop import Ended, Raised, Returned
from kern.activities.tool_result import changes_of
from kern.components.component import definition_of
from kern.components.policies import policy_of
from kern.components.registry import Registry
from kern.components.steps.compile import Code, Layout
from kern.components.steps.values import StepInput, StepOutput
from kern.contracts.messages import PipelineInput, PipelineOutcome, Work
from kern.db.engine.store import Store
from kern.db.reading.run_outputs import no_run, run_row
from kern.db.steps import execution, transactions
from kern.db.steps.execution import backoff
from kern.db.steps.transactions import Evaluate, Execute, Finished, InProgress, Task
from kern.db.turns.calls import Execution
from kern.errors import NotFound
from kern.pipeline.frames import Phase
from kern.pipeline.nodes import Node, Shape
from kern.pipeline.strictness import DeclaredPolicy
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.values.ids import new_id
from kern.values.states import ToolOutcome
from kern.workflow import Workflow

_log = get_logger("kern.pipeline")

# After so long an activity ends, so that others get its place; the next one starts at once.
_LONGEST_SECONDS = 20.0
_EVALUATION_SECONDS = 600.0
_EVALUATION_TRIES = 3
_EVALUATION_PAUSE = 0.2
_NO_LAYOUT = Layout(shape=Shape(nodes=()), code={}, parts=())


class PipelineSteps:
    """Executes steps for the workflows of one process."""

    def __init__(self, db: Store, registry: Registry, executions: Executions) -> None:
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
            beginning = await self._begin(ask.run_id)
            if beginning.ended or len(beginning.work) != 1 or _must_wait(beginning.work[0]):
                return beginning
            lane = beginning.work[0].lane
        visit = _Visit(self._db, self._executions, ask.run_id, lane, self._declared_by)
        task = await visit.take()
        while not isinstance(task, PipelineOutcome):
            if isinstance(task, InProgress):
                task = await visit.look_after(task)
            elif isinstance(task, Execute):
                task = await self._execute(visit, task)
            else:
                task = await self._evaluate(visit, task)
        return task

    async def _begin(self, run_id: str) -> PipelineOutcome:
        component_id = await self._db.read(lambda tx: _component_of(tx, run_id))
        workflow = self._workflow(component_id)
        shape, declared = definition_of(workflow).layout.shape, policy_of(workflow)
        now = datetime.now(UTC)
        reach("pipeline.before_begin")
        beginning = await self._db.write(
            lambda tx: transactions.begin(tx, run_id, shape, now, declared=declared)
        )
        reach("pipeline.after_begin")
        return beginning

    async def _execute(self, visit: "_Visit", task: Execute) -> Task:
        # The attempt is alive while the step's input is read, too.
        with self._executions.holding(visit.token):
            return await self._attempt(visit, task)

    async def _attempt(self, visit: "_Visit", task: Execute) -> Task:
        attempt = _StepAttempt(self._db, visit, task, await read_step_input(self._db, task))
        layout = self._layout(task.facts.component_id)
        function, node = layout.code.get(task.node, Code()).main, layout.shape.by_id.get(task.node)
        if function is None or node is None:
            await attempt.give_back(_not_in_worker(task.node), is_begun=False)
            raise not_here("The step is not in this worker")
        attempt.backoff = node.backoff
        _log.info("step_started", run_id=task.facts.run_id, step=task.node)
        await self._executions.wait(attempt, called_with(function, attempt.step_input), {})
        return attempt.following or await visit.take()

    async def _evaluate(self, visit: "_Visit", task: Evaluate) -> Task:
        """Call the user's code for a decision: it changes nothing and may be called again."""
        layout, judges = self._layout(task.facts.component_id), task.phase is Phase.judge
        node, code = layout.shape.by_id.get(task.node), layout.code.get(task.node, Code())
        function = code.review_when if judges else code.main
        if judges and node is not None and _predicate_of(node) != task.predicate:
            # Other code than was pinned: a person reviews.
            return await visit.answer(task, [True])
        if node is None or function is None:
            await visit.miss(task, _not_in_worker(task.node))
            raise not_here("The step is not in this worker")
        if judges:
            argument: StepInput | StepOutput = StepOutput(content=task.content)
        else:
            argument = await read_step_input(self._db, task)
        names = [layout.shape.by_id[child].name for child in node.children]
        why = ""
        for tries in range(1, _EVALUATION_TRIES + 1):
            ended = await self._executions.call(
                called_with(function, argument), {}, _EVALUATION_SECONDS
            )
            answer = _answer(task, node, names, ended)
            if not isinstance(answer, BaseException):
                return await visit.answer(task, answer)
            why = step_error_text(answer, task.name)
            if not isinstance(ended, Raised):
                # It returned something else than an answer, and would return it again.
                break
            await asyncio.sleep(_EVALUATION_PAUSE * tries)
        return await visit.give_up(task, why)

    def _declared_by(self, component_id: str) -> DeclaredPolicy | None:
        component = self._registry.find(component_id)
        return policy_of(component) if isinstance(component, Workflow) else None

    def _layout(self, component_id: str) -> Layout:
        """Return a workflow's layout; an empty one if only other processes have it."""
        component = self._registry.find(component_id)
        return definition_of(component).layout if isinstance(component, Workflow) else _NO_LAYOUT

    def _workflow(self, component_id: str) -> Workflow:
        component = self._registry.get(component_id)
        if not isinstance(component, Workflow):
            message = (
                f"The run needs a workflow, and the component {component_id!r} is of the kind "
                f"{definition_of(component).kind!r}."
            )
            raise NotFound(message)
        return component


class _Visit:
    """One activity's visit to a lane.

    The end of one step is stored together with the beginning of the next: one transaction a step.
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
        self._db = db
        self._executions = executions
        self._run_id, self._lane, self._declared_by = run_id, lane, declared_by
        self._until = time.monotonic() + _LONGEST_SECONDS

    async def take(self) -> Task:
        """Return the next task."""
        return await self.store(lambda _tx, _now: None, "step.before_take", "step.after_take")

    async def look_after(self, attempt: InProgress) -> Task:
        """Wait for a live attempt at the step, and return the next task."""
        before = time.monotonic()
        await self._executions.until_over(attempt.token)
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
        token, now = new_id(), datetime.now(UTC)
        is_last = time.monotonic() > self._until or activity.is_worker_shutdown()

        def store_and_take(tx: Session) -> Task:
            write(tx, now)
            if is_last:
                return PipelineOutcome(work=(Work(lane=self._lane),))
            return transactions.take(
                tx,
                self._run_id,
                self._lane,
                token,
                now,
                is_alive=self._executions.is_alive,
                declared_by=self._declared_by,
            )

        reach(before)
        task = await self._executions.begin(self._db, store_and_take, _execution_of, token)
        reach(after)
        self.token = token
        return task


class _StepAttempt(Attempt[Finished]):
    """One attempt at a step's function."""

    def __init__(self, db: Store, visit: _Visit, task: Execute, step_input: StepInput) -> None:
        super().__init__(db, task.execution, visit.token, "step")
        self.step_input = step_input
        self.backoff = 0.0
        self.following: Task | None = None
        self._task = task
        self._visit = visit

    async def end(self, ended: Ended[Finished], *, is_active: bool = True) -> None:
        """Store how the function ended, or give the call back for another try."""
        match ended:
            case Returned(finished):
                await self._keep(finished, is_active=is_active)
            case Raised(error) if is_active and self.execution.attempt <= self.execution.retries:
                await self.give_back(step_error_text(error, self.execution.name))
                wait = timedelta(seconds=backoff(self.backoff, self.execution.attempt))
                raise try_again("step_failed", "The step raised and is tried again", wait)
            case Raised(error):
                why = step_error_text(error, self.execution.name)
                await self._keep(Finished(ToolOutcome.error, error=why), is_active=is_active)

    def outcome_of(self, value: object) -> Finished:
        """Return what to store of the value that the function returned."""
        output, changes = as_output(value), changes_of(self.step_input.session_state)
        if isinstance(changes, str):
            why = f"What it changed in the session's state could not be kept: {changes}"
            return Finished(ToolOutcome.error, error=why, code=execution.STATE_NOT_KEPT)
        return Finished(ToolOutcome.result, output.content, output.stop, changes=changes)

    async def _keep(self, finished: Finished, *, is_active: bool) -> None:
        def write(tx: Session, now: datetime) -> None:
            transactions.finish(tx, self._task, self.token, finished, now)

        if is_active:
            points = ("step.before_store", "step.after_store")
            self.following = await self._visit.store(write, *points)
        else:
            now = datetime.now(UTC)
            await self._db.write(lambda tx: write(tx, now))
        facts = self._task.facts
        _log.info(
            "step_ended",
            run_id=facts.run_id,
            session_id=facts.session_id,
            step=self._task.node,
            outcome=finished.outcome,
        )


def _answer(
    task: Evaluate, node: Node, names: Sequence[str], ended: Ended[object]
) -> Sequence[JsonValue] | BaseException:
    """Return the answer of the user's code, or the error if it gave none."""
    if isinstance(ended, Raised):
        # As with gates: only False lets the output pass without a person.
        return [True] if task.phase is Phase.judge else ended.error
    try:
        return as_answer(task.phase, node.kind, names, ended.value)
    except Exception as error:  # noqa: BLE001  a value's own code may raise anything
        return error


def _predicate_of(node: Node) -> str | None:
    return None if node.review is None else node.review.predicate


def _not_in_worker(node: str) -> str:
    return f"The step {node!r} is not in this worker: it waits for one that has it."


def _component_of(tx: Session, run_id: str) -> str:
    run = run_row(tx, run_id)
    if run is None:
        raise no_run(run_id)
    return run.component_id


def _execution_of(task: Task) -> Execution | None:
    return task.execution if isinstance(task, Execute) else None


def _must_wait(work: Work) -> bool:
    return work.gate is not None or work.child is not None
