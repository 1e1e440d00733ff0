"""The activity that executes the steps of one lane, one after another until the lane waits."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue
from sqlmodel import Session
from temporalio import activity

from kern.activities.executions import Executions
from kern.activities.failures import at_the_edge, is_deleted, not_here
from kern.activities.heartbeat import beating
from kern.activities.lane_visit import Visit
from kern.activities.step_attempt import StepAttempt, step_result
from kern.activities.step_code import (
    Function,
    as_answer,
    called_with,
    read_step_input,
    step_error_text,
)
from kern.activities.tool_loop import Ended, Raised, Returned
from kern.components.component import definition_of
from kern.components.policies import policy_of
from kern.components.registry import Registry
from kern.components.steps.compile import Code, Layout
from kern.components.steps.values import StepInput, StepOutput
from kern.contracts.messages import PipelineInput, PipelineOutcome, Work
from kern.db.engine.store import Store
from kern.db.reading.run_outputs import run_row
from kern.db.reading.visibility import no_run
from kern.db.steps import transactions
from kern.db.steps.tasks import Evaluate, Execute, InProgress, NoPlace, Reconcile, Task
from kern.errors import NotFound
from kern.pipeline.frames import Phase
from kern.pipeline.nodes import Node, Shape
from kern.pipeline.strictness import DeclaredPolicy
from kern.process.calling_run import executing_for
from kern.process.checkpoints import reach
from kern.process.logs import OnceLog, get_logger, warn_raised
from kern.workflow import Workflow

_log = get_logger("kern.pipeline")

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
        self._missing = OnceLog(_log)

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
        visit = Visit(self._db, self._executions, ask.run_id, lane, self._declared_by)
        try:
            return await self._serve(visit)
        finally:
            visit.leave()

    async def _serve(self, visit: Visit) -> PipelineOutcome:
        task = await visit.take()
        while not isinstance(task, PipelineOutcome):
            match task:
                case InProgress():
                    task = await visit.look_after(task)
                case NoPlace():
                    task = await visit.wait_for_place()
                case Execute():
                    task = await self._execute(visit, task)
                case Reconcile():
                    task = await self._find_out(visit, task)
                case Evaluate():
                    await visit.occupy(task.name)
                    task = await self._evaluate(visit, task)
        return task

    async def _begin(self, run_id: str) -> PipelineOutcome:
        component_id = await self._db.read(lambda tx: _component_of(tx, run_id))
        workflow = self._workflow(component_id)
        shape, worker_policy = definition_of(workflow).layout.shape, policy_of(workflow)
        now = datetime.now(UTC)
        reach("pipeline.before_begin")
        beginning = await self._db.write(
            lambda tx: transactions.begin(tx, run_id, shape, now, worker_policy=worker_policy)
        )
        reach("pipeline.after_begin")
        return beginning

    async def _execute(self, visit: Visit, task: Execute) -> Task:
        async with self._executions.before_begin(task.execution, visit.token):
            attempt, function = await self._prepare(visit, task)
        with visit.lent_place(task.execution.name):
            await self._executions.wait(attempt, function, {}, visit.place)
        return attempt.following or await visit.take()

    async def _prepare(self, visit: Visit, task: Execute) -> tuple[StepAttempt, Function]:
        """Return the code of a step that was taken, with its input."""
        step_input = await read_step_input(self._db, task)
        layout = self._layout(task.facts.component_id)
        code, node = layout.code.get(task.node, Code()), layout.shape.by_id.get(task.node)
        function, results = code.main, self._executions.results
        attempt = StepAttempt(
            self._db, visit, task, step_input, results=results, rules=code.outcome_rules
        )
        if function is None or node is None:
            await attempt.give_back(_not_in_worker(task.node), is_begun=False)
            self._warn_missing(task)
            raise not_here("The step is not in this worker")
        attempt.backoff = node.backoff
        _log.info("step_started", run_id=task.facts.run_id, step=task.node)
        return attempt, called_with(function, attempt.step_input)

    async def _find_out(self, visit: Visit, task: Reconcile) -> Task:
        """Find out what became of a step whose attempt was lost."""
        open_call, results = task.open_call, self._executions.results
        code = self._layout(open_call.execution.component_id).code.get(task.node, Code())

        async def store(result: JsonValue) -> None:
            entry, now = (
                step_result(task.call, open_call.token or "", result, results),
                datetime.now(UTC),
            )
            await results.keep(entry, lambda: self._db.write(lambda tx: entry.store(tx, now)))

        await self._executions.find_out_lost(code.outcome_rules, open_call, store)
        return await visit.take()

    async def _evaluate(self, visit: Visit, task: Evaluate) -> Task:
        """Call the user's code for a decision: it changes nothing and may be called again."""
        layout, judges = self._layout(task.facts.component_id), task.phase is Phase.judge
        node, code = layout.shape.by_id.get(task.node), layout.code.get(task.node, Code())
        function = code.review_when if judges else code.main
        if judges and node is not None and _predicate_of(node) != task.predicate:
            # Other code than was pinned: a person reviews.
            return await visit.answer(task, [True])
        if node is None or function is None:
            await visit.miss(task, _not_in_worker(task.node))
            self._warn_missing(task)
            raise not_here("The step is not in this worker")
        if judges:
            argument: StepInput | StepOutput = StepOutput(content=task.content)
        else:
            argument = await read_step_input(self._db, task)
        names = [layout.shape.by_id[child].name for child in node.children]
        why = ""
        for tries in range(1, _EVALUATION_TRIES + 1):
            with executing_for(task.facts.run_id, task.facts.tenant):
                ended = await self._executions.call(
                    called_with(function, argument), {}, _EVALUATION_SECONDS, visit.place
                )
            if isinstance(ended, Raised):
                role = "predicate" if judges else "evaluator"
                warn_raised(role, task.name, ended.error, run_id=task.facts.run_id)
            answer = _answer(task, node, names, ended)
            if not isinstance(answer, BaseException):
                return await visit.answer(task, answer)
            why = step_error_text(answer, task.name)
            if not isinstance(ended, Raised):
                # It returned something else than an answer, and would return it again.
                break
            await asyncio.sleep(_EVALUATION_PAUSE * tries)
        return await visit.give_up(task, why)

    def _warn_missing(self, task: Execute | Evaluate) -> None:
        self._missing.warn(
            "step_missing",
            run_id=task.facts.run_id,
            component=task.facts.component_id,
            step=task.node,
            advice="It waits for a worker whose app declares the step.",
        )

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


def _answer(
    task: Evaluate, node: Node, names: Sequence[str], ended: Ended[object]
) -> Sequence[JsonValue] | BaseException:
    """Return the answer of the user's code, or the error if it gave none."""
    if not isinstance(ended, Returned):
        # As with gates: only False lets the output pass without a person.
        error = ended.error if isinstance(ended, Raised) else TimeoutError("it was not called")
        return [True] if task.phase is Phase.judge else error
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


def _must_wait(work: Work) -> bool:
    return work.gate is not None or work.child is not None
