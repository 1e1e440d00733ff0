"""One run, executed now by a lenient and now by a strict version of its app, call by call."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from kern.activities.executions import Executions
from kern.activities.model_turn import ModelTurn
from kern.activities.pipeline_step import PipelineSteps
from kern.activities.result_journal import ResultKeeper
from kern.activities.tool_call import ToolCalls
from kern.agent import Agent
from kern.client.service.reports import read_report
from kern.components.component import definition_of
from kern.components.policies import policy_of
from kern.components.registry import Registry
from kern.components.runnable import Runnable
from kern.contracts.messages import (
    PipelineInput,
    PipelineOutcome,
    ToolCallInput,
    ToolCallOutcome,
    TurnInput,
    TurnOutcome,
)
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR
from kern.db.journal.outbox import Delivery
from kern.db.journal.text_publisher import publisher_for
from kern.db.runs import accepting, policies
from kern.db.steps import retry
from kern.models.scripted import Call, ScriptedModel
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.team import Team
from kern.tools import Approval, Tool, tool
from kern.values.canonical import canonical_json
from kern.values.ids import new_id
from kern.values.states import Effect, RequirementKind, RunStatus
from kern.workflow import HumanReview, Step, StepInput, Steps, Workflow
from tests.support.agents import Ledger
from tests.support.stored_runs import Stored, opened


class Worker:
    """What one version of an app does, without Temporal."""

    def __init__(self, stored: Stored, *components: Runnable) -> None:
        self.components = {component.id: component for component in components}
        registry, results = Registry(), ResultKeeper(stored.database)
        self._executions = Executions(stored.database, results=results)
        for component in components:
            registry.register(component)
        database = stored.database
        self._turns = ModelTurn(database, registry, 1, publisher_for(database), results=results)
        self._calls = ToolCalls(database, registry, self._executions)
        self._steps = PipelineSteps(database, registry, self._executions)

    def turn(self, run_id: str, number: int = 1) -> TurnOutcome:
        ask = TurnInput(run_id=run_id, turn=number)
        return asyncio.run(ActivityEnvironment().run(self._turns.model_turn, ask))

    def call(self, run_id: str, tool_call_id: str) -> ToolCallOutcome:
        ask = ToolCallInput(run_id=run_id, tool_call_id=tool_call_id)
        return asyncio.run(ActivityEnvironment().run(self._calls.tool_call, ask))

    def steps(self, run_id: str, lane: str | None = None) -> PipelineOutcome:
        ask = PipelineInput(run_id=run_id, lane=lane)
        return asyncio.run(ActivityEnvironment().run(self._steps.pipeline_step, ask))

    def close(self) -> None:
        self._executions.close()


class World:
    """A database, and an app in as many versions as a test declares."""

    def __init__(self, stored: Stored, ledger: Ledger) -> None:
        self.stored = stored
        self.ledger = ledger
        self._workers: list[Worker] = []

    def worker(self, *components: Runnable) -> Worker:
        worker = Worker(self.stored, *components)
        self._workers.append(worker)
        return worker

    def accept(self, component: Runnable) -> str:
        """Accept a run as a client does that declares this component."""
        run_id = new_id()
        declared = policy_of(component)
        kind = definition_of(component).kind
        request = RunRequest(component_id=component.id, input="Refund.")

        def accept(tx: object) -> Delivery | None:
            return accepting.accept(
                tx,  # type: ignore[arg-type]
                request,
                component_kind=kind,
                initial_state={},
                now=now(),
                run_id=run_id,
                session_id=new_id(),
                worker_policy=declared,
            )

        self.stored.do(accept)
        return run_id

    def output(self, run_id: str) -> RunOutput:
        return self.stored.output(run_id)

    def open_requirement(self, run_id: str) -> Requirement:
        (requirement,) = self.output(run_id).active_requirements
        return requirement

    def approve(self, run_id: str) -> None:
        self.stored.resolve(self.open_requirement(run_id), at=now())

    def tool(self, **options: object) -> Tool:
        """Return a version of the tool `refund`."""
        ledger = self.ledger

        def refund(amount: int) -> str:
            """Pay the customer back."""
            ledger.add(f"paid {amount}")
            return "refunded"

        return tool(**options)(refund)  # type: ignore[call-overload, no-any-return]

    def agent(self, *tools: Tool, **options: object) -> Agent:
        """Return a version of an agent that asks for one refund."""
        model = ScriptedModel([Call("refund", amount=100), "done"])
        return Agent(id="support", model=model, tools=tools, **options)  # type: ignore[arg-type]

    def workflow(self, review: HumanReview | None = None, **options: object) -> Workflow:
        """Return a version of a workflow whose second step pays."""

        def check() -> str:
            return "checked"

        def pay(step: StepInput) -> str:
            self.ledger.add("paid")
            return f"paid for {step.input}"

        step = Step("pay", pay, human_review=review, **options)  # type: ignore[arg-type]
        return Workflow(id="flow", steps=[Step("check", check), step])

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path, ledger: Ledger) -> Iterator[World]:
    with opened(request.param, tmp_path) as stored, closing(World(stored, ledger)) as made:
        yield made


def test_a_lenient_worker_asks_what_the_run_pinned_of_whom_it_pinned(world: World) -> None:
    asking = Approval(candidates=("dana", "ann"), quorum=2, due=timedelta(hours=1))
    gated = world.tool(requires_confirmation=True, approval=asking, timeout=5.0)
    run_id = world.accept(world.agent(gated))
    lenient = world.worker(world.agent(world.tool(effect="read", timeout=60.0)))
    lenient.turn(run_id)
    requirement = world.open_requirement(run_id)
    assert requirement.kind is RequirementKind.confirmation
    assert set(requirement.candidates) == {"dana", "ann"}
    assert (requirement.quorum, requirement.due_at is not None) == (2, True)
    (call,) = world.output(run_id).tools
    assert call.effect is Effect.once


def test_a_predicate_that_differs_from_the_pinned_one_gates_every_call(world: World) -> None:
    pinned = world.tool(requires_confirmation=lambda amount: amount > 1)
    run_id = world.accept(world.agent(pinned))
    world.worker(world.agent(world.tool(requires_confirmation=lambda amount: amount > 500))).turn(
        run_id
    )
    assert world.open_requirement(run_id).kind is RequirementKind.confirmation


def test_the_pinned_predicate_decides_in_every_worker_that_has_it(world: World) -> None:
    def declared() -> Agent:
        return world.agent(world.tool(requires_confirmation=lambda amount: amount > 500))

    run_id, worker = world.accept(declared()), world.worker(declared())
    (planned,) = worker.turn(run_id).calls
    assert planned.gate is None
    assert worker.call(run_id, planned.tool_call_id).gate is None
    assert world.ledger.lines == ["paid 100"]


def test_a_strict_worker_asks_before_a_call_that_a_lenient_one_stored(world: World) -> None:
    run_id = world.accept(world.agent(world.tool()))
    (planned,) = world.worker(world.agent(world.tool())).turn(run_id).calls
    strict = world.worker(world.agent(world.tool(requires_confirmation=True)))
    gate = strict.call(run_id, planned.tool_call_id).gate
    assert gate is not None
    assert world.ledger.lines == []
    assert world.output(run_id).status is RunStatus.paused
    world.approve(run_id)
    strict.call(run_id, planned.tool_call_id)
    assert world.ledger.lines == ["paid 100"]
    (call,) = world.output(run_id).tools
    assert call.attempts == 1


def test_a_strict_worker_asks_about_a_call_whose_lenient_worker_died(world: World) -> None:
    run_id = world.accept(world.agent(world.tool(effect="idempotent")))
    (planned,) = world.worker(world.agent(world.tool(effect="idempotent"))).turn(run_id).calls
    world.stored.begin(planned.tool_call_id, "dead", now())
    world.worker(world.agent(world.tool(effect="once"))).call(run_id, planned.tool_call_id)
    assert world.open_requirement(run_id).kind is RequirementKind.unknown_outcome
    assert world.ledger.lines == []


def test_a_worker_without_a_pinned_tool_gives_the_turn_back_before_the_model_is_asked(
    world: World,
) -> None:
    run_id = world.accept(world.agent(world.tool()))
    asked = list[str]()

    def answer(request: object) -> str:
        asked.append(str(request))
        return "There is no such tool."

    without = Agent(id="support", model=ScriptedModel(answer))
    with pytest.raises(ApplicationError, match="not in this worker") as failure:
        world.worker(without).turn(run_id)
    assert not failure.value.non_retryable
    assert asked == []
    assert len(world.output(run_id).messages) == 1
    assert len(world.worker(world.agent(world.tool())).turn(run_id).calls) == 1


def test_a_tool_that_was_added_later_is_not_part_of_the_run(world: World) -> None:
    run_id = world.accept(Agent(id="support", model=ScriptedModel(["done"])))
    offered = list[list[str]]()

    def answer(request: object) -> Call:
        offered.append([spec.name for spec in request.tools])  # type: ignore[attr-defined]
        return Call("refund", amount=100)

    newer = Agent(id="support", model=ScriptedModel(answer), tools=[world.tool()])
    assert world.worker(newer).turn(run_id).calls == ()
    assert offered == [[]]
    (call,) = world.output(run_id).tools
    assert call.result == "There is no tool 'refund'. The tools are: none."


def test_a_member_keeps_to_what_its_team_pinned(world: World) -> None:
    delegating = ScriptedModel(
        [Call("delegate_task_to_member", member_id="support", task="Refund."), "done"]
    )

    def team(refund: Tool) -> Team:
        return Team(id="team", model=delegating, members=[world.agent(refund)])

    run_id = world.accept(team(world.tool(requires_confirmation=True)))
    lenient = world.worker(team(world.tool()))
    (planned,) = lenient.turn(run_id).calls
    assert planned.child is not None
    lenient.turn(planned.child.run_id)
    assert world.open_requirement(run_id).kind is RequirementKind.confirmation
    assert world.output(planned.child.run_id).policy_digest == world.output(run_id).policy_digest


def test_a_member_that_was_added_later_is_given_nothing_to_do(world: World) -> None:
    delegating = ScriptedModel(
        [Call("delegate_task_to_member", member_id="support", task="Refund."), "done"]
    )
    other = Agent(id="other", model=ScriptedModel(["done"]))
    run_id = world.accept(Team(id="team", model=delegating, members=[other]))
    newer = Team(id="team", model=delegating, members=[other, world.agent(world.tool())])
    assert world.worker(newer).turn(run_id).calls == ()
    (call,) = world.output(run_id).tools
    assert "was added after this request was accepted" in (call.result or "")


def test_the_smaller_limit_of_calls_applies(world: World) -> None:
    run_id = world.accept(world.agent(world.tool(), tool_call_limit=0))
    assert world.worker(world.agent(world.tool())).turn(run_id).calls == ()


def test_the_smaller_limit_of_model_calls_applies(world: World) -> None:
    run_id = world.accept(world.agent(world.tool(), model_call_limit=1))
    lenient = world.worker(world.agent(world.tool(), model_call_limit=None))
    assert lenient.turn(run_id).calls
    assert world.output(run_id).metrics.model_calls == 1


def test_a_step_keeps_its_pinned_gate_in_a_lenient_worker(world: World) -> None:
    gated = HumanReview(requires_confirmation=True, approval=Approval(candidates=("dana",)))
    run_id = world.accept(world.workflow(gated))
    lenient = world.worker(world.workflow())
    (work,) = lenient.steps(run_id).work
    assert work.gate is not None
    assert world.open_requirement(run_id).candidates == ["dana"]
    assert world.ledger.lines == []
    world.approve(run_id)
    lenient.steps(run_id, work.lane)
    assert world.ledger.lines == ["paid"]
    assert world.output(run_id).status is RunStatus.completed


def test_a_step_that_only_a_strict_worker_gates_waits_from_then_on(world: World) -> None:
    run_id = world.accept(world.workflow())
    strict = world.worker(world.workflow(HumanReview(requires_confirmation=True)))
    (work,) = strict.steps(run_id).work
    assert work.gate is not None
    lenient = world.worker(world.workflow())
    assert lenient.steps(run_id, work.lane).work[0].gate is not None
    assert world.ledger.lines == []
    world.approve(run_id)
    lenient.steps(run_id, work.lane)
    assert world.ledger.lines == ["paid"]


def test_a_step_that_was_given_back_goes_to_the_gate_of_a_strict_worker(world: World) -> None:
    run_id = world.accept(world.workflow())
    without = Workflow(id="flow", steps=[Step("check", lambda: "checked")])
    with pytest.raises(ApplicationError, match="not in this worker"):
        world.worker(without).steps(run_id)
    strict = world.worker(world.workflow(HumanReview(requires_confirmation=True)))
    (begun,) = strict.steps(run_id).work
    (work,) = strict.steps(run_id, begun.lane).work if begun.gate is None else (begun,)
    assert work.gate is not None
    assert world.ledger.lines == []
    world.approve(run_id)
    strict.steps(run_id, work.lane)
    assert world.ledger.lines == ["paid"]
    assert world.output(run_id).status is RunStatus.completed


def test_a_container_that_had_begun_before_it_got_a_gate_continues(world: World) -> None:
    def flow(review: HumanReview | None) -> Workflow:
        ask = Step("ask", lambda: "asked", human_review=HumanReview(requires_confirmation=True))
        return Workflow(id="flow", steps=[Steps([ask], name="both", human_review=review)])

    run_id = world.accept(flow(None))
    (work,) = world.worker(flow(None)).steps(run_id).work
    world.approve(run_id)
    world.worker(flow(HumanReview(requires_confirmation=True))).steps(run_id, work.lane)
    assert world.output(run_id).status is RunStatus.completed


def test_a_strict_worker_does_not_repeat_a_step_that_a_lenient_one_may_have_executed(
    world: World,
) -> None:
    run_id = world.accept(world.workflow(effect="idempotent"))
    without = Workflow(id="flow", steps=[Step("check", lambda: "checked")])
    with pytest.raises(ApplicationError, match="not in this worker"):
        world.worker(without).steps(run_id)
    world.stored.sql(
        "UPDATE kern_tool_calls SET status = 'running', token = 'dead', "
        "begun_at = created_at WHERE name = 'pay'"
    )
    strict = world.worker(world.workflow(effect="once"))
    (begun,) = strict.steps(run_id).work
    if begun.gate is None:
        strict.steps(run_id, begun.lane)
    assert world.open_requirement(run_id).kind is RequirementKind.unknown_outcome
    assert world.ledger.lines == []


def test_other_code_of_a_review_predicate_has_a_person_review(world: World) -> None:
    pinned = HumanReview(requires_output_review=lambda output: "never" in str(output.content))
    run_id = world.accept(world.workflow(pinned))
    other = HumanReview(requires_output_review=lambda output: "nothing" in str(output.content))
    world.worker(world.workflow(other)).steps(run_id)
    assert world.open_requirement(run_id).kind is RequirementKind.output_review


def test_a_nested_workflow_keeps_the_shape_that_was_pinned(world: World) -> None:
    def outer(inner: Workflow) -> Workflow:
        return Workflow(id="outer", steps=[Step("inner", inner)])

    gated = HumanReview(requires_confirmation=True)
    run_id = world.accept(outer(world.workflow(gated)))
    lenient = world.worker(outer(world.workflow()))
    (work,) = lenient.steps(run_id).work
    assert work.child is not None
    lenient.steps(work.child.run_id)
    assert world.open_requirement(run_id).kind is RequirementKind.confirmation
    assert world.ledger.lines == []


def test_a_retried_run_keeps_its_pin(world: World) -> None:
    def flow(review: HumanReview | None) -> Workflow:
        def fail() -> str:
            message = "not today" if not world.ledger.lines else ""
            if message:
                raise ValueError(message)
            return "worked"

        def pay() -> str:
            world.ledger.add("paid")
            return "paid"

        return Workflow(
            id="flow", steps=[Step("fail", fail), Step("pay", pay, human_review=review)]
        )

    run_id = world.accept(flow(HumanReview(requires_confirmation=True)))
    lenient = world.worker(flow(None))
    lenient.steps(run_id)
    assert world.output(run_id).status is RunStatus.error
    world.ledger.add("now it works")
    world.stored.do(lambda tx: retry.retry(tx, run_id, OPERATOR, now()))
    (work,) = lenient.steps(run_id).work
    if work.gate is None:
        lenient.steps(run_id, work.lane)
    assert world.open_requirement(run_id).kind is RequirementKind.confirmation
    assert world.ledger.lines == ["now it works"]


def test_a_run_that_nobody_pinned_is_pinned_by_the_worker_that_begins_it(world: World) -> None:
    run_id, _ = world.stored.accept(component_id="support")
    world.worker(world.agent(world.tool(requires_confirmation=True))).turn(run_id)
    assert world.output(run_id).policy_digest is not None


def test_one_policy_is_stored_once_for_any_number_of_runs(world: World) -> None:
    agent = world.agent(world.tool(requires_confirmation=True))
    digests = {world.output(world.accept(agent)).policy_digest for _ in range(3)}
    assert digests == {policy_of(agent).policy.digest}


@pytest.mark.parametrize("change", ["gate", "component"])
def test_nothing_runs_under_a_policy_that_was_changed_in_the_database(
    world: World, change: str
) -> None:
    strict = world.agent(world.tool(requires_confirmation=True))
    run_id = world.accept(strict)
    digest = world.output(run_id).policy_digest
    content: JsonValue = {"version": 1, "components": {}}
    if change == "gate":
        content = _without_gates(world)
    update = "UPDATE kern_policies SET policy = :content WHERE digest = :digest"
    world.stored.sql(update, content=canonical_json(content), digest=digest)
    policies._cached.cache_clear()  # pyright: ignore[reportPrivateUsage]  as in a process that has not read it yet
    lenient = world.worker(world.agent(world.tool()))
    with pytest.raises(ApplicationError, match="not in this worker"):
        lenient.turn(run_id)
    assert world.ledger.lines == []
    fault = f"policy {digest!r} was changed in the database"
    report = world.stored.look(lambda tx: read_report(tx, OPERATOR, run_id))
    assert report.policy is not None
    assert report.policy.fault is not None
    assert fault in report.policy.fault
    [found] = world.stored.look(policies.faults)
    assert fault in found


def _without_gates(world: World) -> dict[str, JsonValue]:
    return policy_of(world.agent(world.tool())).policy.pinned
