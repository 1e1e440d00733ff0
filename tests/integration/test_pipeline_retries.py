"""A pipeline that failed and is retried: what has ended is not done again."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, col, select, update

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.components.component import definition_of
from kern.contracts.viewer import OPERATOR
from kern.db.engine.tables import OutboxRow, RunRow, ToolCallRow
from kern.db.journal import outbox
from kern.db.journal.outbox import DeliveryKind
from kern.db.runs import lifecycle
from kern.db.steps import retry as retrying
from kern.errors import Conflict, NotAllowed
from kern.models.base import ModelRequest, ProviderError
from kern.models.scripted import Call
from kern.run import RunOutput
from kern.tools import Approval, tool
from kern.values.ids import new_id
from kern.values.states import RequirementKind, RunStatus
from kern.workflow import (
    Condition,
    HumanReview,
    Loop,
    Parallel,
    Step,
    StepInput,
    StepOutput,
    Steps,
    Workflow,
)
from tests.support.agents import scripted
from tests.support.pipelines import exclaim, go_on, only, pipeline, upper
from tests.support.waiting import wait_until

CONFIRM = HumanReview(requires_confirmation=True)


class Luck:
    """A step that fails until it is told to work."""

    def __init__(self) -> None:
        self.is_good = False
        self.done: list[str] = []

    def note(self, name: str) -> Step:
        return Step(name, lambda: self.add(name))

    def add(self, name: str) -> str:
        self.done.append(name)
        return name

    def work(self, told: StepInput) -> str:
        if not self.is_good:
            raise ValueError("no luck")
        self.done.append("work")
        return f"{told.previous_content} worked"


def test_only_what_failed_is_done_again(runtime: Runtime) -> None:
    luck = Luck()
    flow = pipeline(luck.note("a"), Steps([luck.note("b"), luck.work]), luck.note("c"))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good, again = True, datetime.now(UTC)
    output = flow.retry_run(output.run_id)
    assert output.status is RunStatus.completed, output.error
    # Until then, nobody worked.
    began = {step.name: step.started_at or again for step in flow.get_steps(output.run_id)}
    assert began["b"] < again <= began["work"]
    assert output.error is None
    assert luck.done == ["a", "b", "work", "c"]


def test_it_may_fail_again(runtime: Runtime) -> None:
    luck = Luck()
    flow = pipeline(luck.note("a"), luck.work)
    output = flow.run("hi")
    for _ in range(3):
        output = flow.retry_run(output.run_id)
        assert output.status is RunStatus.error
    luck.is_good = True
    assert flow.retry_run(output.run_id).content == "a worked"
    assert luck.done == ["a", "work"]


def test_branches_that_were_stopped_go_on(runtime: Runtime) -> None:
    luck = Luck()
    asked = Step("asked", lambda: luck.add("asked"), human_review=CONFIRM)
    bad = Steps([luck.note("first"), luck.work], name="bad")
    flow = pipeline(Parallel(luck.note("good"), asked, bad))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    output = flow.retry_run(output.run_id)
    assert output.is_paused
    only(output).confirm()
    output = go_on(flow, output)
    assert output.status is RunStatus.completed, output.error
    assert sorted(luck.done) == ["asked", "first", "good", "work"]


def test_items_that_ended_are_kept(runtime: Runtime) -> None:
    luck = Luck()

    def work(told: StepInput) -> str:
        if told.item == 7 and not luck.is_good:
            raise ValueError("not this one")
        luck.done.append(str(told.item))
        return str(told.item)

    flow = pipeline(Parallel(work, for_each=lambda: list(range(12)), max_concurrency=3))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    # Those that were being executed when it failed may still tell of their end.
    run_id = flow.retry_run(output.run_id).run_id
    wait_until(lambda: flow.get_run_output(run_id).status.is_final)
    output = flow.get_run_output(run_id)
    assert output.content == str([str(one) for one in range(12)]).replace("'", '"').replace(" ", "")
    assert sorted(luck.done, key=int) == [str(one) for one in range(12)]


def test_what_goes_on_while_a_run_is_retried_is_waited_for(runtime: Runtime) -> None:
    """Nobody is asked what became of a step that this very process is in the middle of."""
    luck, went_on = Luck(), threading.Event()
    done: list[str] = []

    def slow() -> str:
        went_on.wait()
        done.append("slow")
        return "slow"

    def last() -> str:
        # Of the branches that are served again, this one is not the only one.
        went_on.set()
        return "last"

    flow = pipeline(Parallel(Step("slow", slow), Steps([luck.work, last], name="bad")), exclaim)
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    output = flow.retry_run(output.run_id)
    assert output.status is RunStatus.completed, output.error
    assert output.requirements == []
    assert done == ["slow"]


def test_a_loop_goes_on_in_its_iteration(runtime: Runtime) -> None:
    luck = Luck()

    def work(told: StepInput) -> str:
        if told.iteration == 2 and not luck.is_good:
            raise ValueError("not yet")
        return f"{told.previous_content}!"

    flow = pipeline(Loop([luck.note("step"), work], max_iterations=3))
    output = flow.run("hi")
    luck.is_good = True
    assert flow.retry_run(output.run_id).content == "step!"
    assert luck.done == ["step"] * 3


def test_a_nested_workflow_goes_on_where_it_failed(runtime: Runtime) -> None:
    luck = Luck()
    inner = pipeline(luck.note("inside"), luck.work, name="inner")
    flow = pipeline(luck.note("before"), inner, luck.note("after"))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    output = flow.retry_run(output.run_id)
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["before", "inside", "work", "after"]


def test_a_nested_workflow_that_is_retried_is_not_cancelled_by_what_came_before(
    runtime: Runtime,
) -> None:
    """A worker that was away has not told it yet that it was cancelled with the run above it."""
    luck, db = Luck(), runtime.services.db
    inner = pipeline(luck.work, name="inner")
    flow = pipeline(inner)
    output = flow.run("hi")
    child_id = next(step.child_run_id for step in flow.get_steps(output.run_id)[1:])
    assert child_id is not None

    def cancel_later(tx: Session) -> None:
        child = lifecycle.lock(tx, child_id)
        outbox.enqueue(tx, child, DeliveryKind.cancel, datetime.now(UTC), grace=timedelta(days=1))

    def retry(tx: Session) -> list[OutboxRow]:
        retrying.retry(tx, output.run_id, OPERATOR, datetime.now(UTC))
        return list(tx.exec(select(OutboxRow).where(OutboxRow.run_id == child_id)))

    db.write_now(cancel_later)
    luck.is_good = True
    assert db.write_now(retry) == []
    wait_until(lambda: flow.get_run_output(output.run_id).status is RunStatus.completed)


def test_what_was_refused_is_asked_again(runtime: Runtime) -> None:
    flow = pipeline(upper, Step("pay", exclaim, human_review=CONFIRM))
    output = flow.run("hi")
    only(output).reject()
    output = go_on(flow, output)
    output = flow.retry_run(output.run_id)
    assert output.is_paused
    only(output).confirm()
    assert go_on(flow, output).content == "HI!"


def test_what_was_confirmed_is_not_asked_again(runtime: Runtime) -> None:
    luck = Luck()
    flow = pipeline(Step("pay", luck.work, human_review=CONFIRM))
    output = flow.run("hi")
    only(output).edit({"input": "ho"})
    output = go_on(flow, output)
    assert output.status is RunStatus.error
    luck.is_good = True
    assert flow.retry_run(output.run_id).content == "ho worked"


def test_an_evaluator_that_failed_is_asked_again(runtime: Runtime) -> None:
    luck = Luck()

    def items() -> list[int]:
        if not luck.is_good:
            raise ValueError("no items")
        return [1, 2]

    flow = pipeline(upper, Parallel(lambda told: told.item, for_each=items))
    output = flow.run("hi")
    assert output.error is not None
    assert output.error.code == "evaluation_failed"
    luck.is_good = True
    assert flow.retry_run(output.run_id).content == "[1,2]"


def test_only_a_failed_run_of_ones_own_is_retried(runtime: Runtime) -> None:
    luck = Luck()
    flow = pipeline(luck.work)
    done = pipeline(upper).run("hi")
    with pytest.raises(Conflict):
        pipeline(upper, id=done.component_id).retry_run(done.run_id)
    failed = flow.run("hi", user_id="ann")
    with pytest.raises(NotAllowed):
        flow.retry_run(failed.run_id, user_id="bob")


def paying(done: list[str]) -> Agent:
    """Return an agent that pays at once, and then asks before it sends."""

    @tool
    def pay() -> str:
        """Pay."""
        done.append("paid")
        return "paid"

    @tool(requires_confirmation=True)
    def send() -> str:
        """Send."""
        done.append("sent")
        return "sent"

    answers = ["pay", "send"]

    def answer(request: ModelRequest) -> Call | str:
        # Each of its runs begins from the start.
        answered = sum(one.role == "assistant" for one in request.messages)
        return Call(answers[answered]) if answered < len(answers) else "all done"

    return scripted(answer, [pay, send], name="payer")


def stopped_after_paying(
    luck: Luck, meanwhile: Callable[[Workflow, str], None] | None = None
) -> tuple[Workflow, RunOutput]:
    def boom() -> str:
        if not luck.is_good:
            wait_until(lambda: asked(flow))
            raise ValueError("no luck")
        return "good"

    def asked(flow: Workflow) -> bool:
        return bool(flow.get_run_output(run_id).active_requirements)

    run_id = new_id()
    flow = pipeline(Parallel(Step("agent", paying(luck.done)), Step("boom", boom)))
    output = flow.run("hi", run_id=run_id)
    assert output.status is RunStatus.error
    luck.is_good = True
    if meanwhile is not None:
        meanwhile(flow, run_id)
    return flow, flow.retry_run(output.run_id)


def test_an_agent_that_was_stopped_after_it_paid_does_not_pay_again(runtime: Runtime) -> None:
    luck = Luck()
    flow, output = stopped_after_paying(luck)
    assert luck.done == ["paid"]
    assert only(output).kind is RequirementKind.error
    only(output).skip()
    output = go_on(flow, output)
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["paid"]


def test_an_agent_that_had_answered_when_it_was_stopped_is_taken_at_its_word(
    runtime: Runtime,
) -> None:
    def had_answered(flow: Workflow, run_id: str) -> None:
        (child_id,) = filter(None, (step.child_run_id for step in flow.get_steps(run_id)))
        ended = {"status": RunStatus.completed.value, "content": "all paid"}
        change = update(RunRow).where(col(RunRow.id) == child_id).values(ended)
        runtime.services.db.write_now(lambda tx: tx.exec(change))

    luck = Luck()
    _, output = stopped_after_paying(luck, had_answered)
    assert output.status is RunStatus.completed, output.error
    assert "all paid" in str(output.content)
    assert luck.done == ["paid"]


def test_a_person_may_have_an_agent_that_paid_begin_again(runtime: Runtime) -> None:
    luck = Luck()
    flow, output = stopped_after_paying(luck)
    only(output).run_again()
    output = go_on(flow, output)
    assert luck.done == ["paid", "paid"]
    only(output).confirm()
    output = go_on(flow, output)
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["paid", "paid", "sent"]


def test_an_agent_that_failed_after_it_paid_is_not_tried_again(runtime: Runtime) -> None:
    done: list[str] = []

    @tool
    def pay() -> str:
        """Pay."""
        done.append("paid")
        return "paid"

    def answer(request: ModelRequest) -> list[Call]:
        if len(request.messages) > 2:
            raise ProviderError("bad", code="refused", retryable=False)
        return [Call("pay")]

    flow = pipeline(Step("agent", scripted(answer, [pay]), retries=2, backoff=0.01))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    assert done == ["paid"]
    output = flow.retry_run(output.run_id)
    assert output.is_paused
    assert only(output).kind is RequirementKind.error
    only(output).fail()
    assert go_on(flow, output).status is RunStatus.error
    assert done == ["paid"]


def test_the_last_note_of_a_review_is_kept_for_the_retry(runtime: Runtime) -> None:
    told: list[str | None] = []

    def write(given: StepInput) -> str:
        told.append(given.feedback)
        return f"draft {len(told)}"

    review = HumanReview(requires_output_review=True, on_reject="retry")
    flow = pipeline(Step("write", write, effect="read", human_review=review))
    output = flow.run("hi")
    rejected = 0
    while output.is_paused:
        rejected += 1
        only(output).reject(f"note {rejected}")
        output = go_on(flow, output)
    assert output.status is RunStatus.error
    for _ in range(2):
        output = flow.retry_run(output.run_id)
        assert told[-1] == f"note {rejected}"
        rejected += 1
        only(output).reject(f"note {rejected}")
        output = go_on(flow, output)
        assert told[-1] == f"note {rejected}"
        while output.is_paused:
            rejected += 1
            only(output).reject(f"note {rejected}")
            output = go_on(flow, output)


def test_branches_that_failed_together_begin_again_together(runtime: Runtime) -> None:
    """The later one was stopped because of the first, and has failed all the same."""
    tries: Counter[str] = Counter()
    both = asyncio.Barrier(2)

    def branch(name: str, seconds: float) -> Step:
        async def work() -> str:
            tries[name] += 1
            if tries[name] == 1:
                await both.wait()
                await asyncio.sleep(seconds)
                raise ValueError(name)
            return name

        return Step(name, work)

    flow = pipeline(Parallel(branch("one", 0), branch("two", 0.2)))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    wait_until(lambda: is_done(runtime, output.run_id))
    output = flow.retry_run(output.run_id)
    assert output.status is RunStatus.completed, output.error
    assert tries == {"one": 2, "two": 2}


def is_done(runtime: Runtime, run_id: str) -> bool:
    """Whether no call of a run is still executed."""
    running = select(ToolCallRow).where(ToolCallRow.run_id == run_id, ToolCallRow.status != "done")
    return not runtime.services.db.read_now(lambda tx: list(tx.exec(running)))


@pytest.mark.parametrize("where", ["a-step", "a-choice"])
def test_a_step_that_this_worker_has_not_is_told_of_and_waited_for(
    runtime: Runtime, where: str
) -> None:
    tries: list[int] = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return "done"

    step = Step("flaky", flaky, effect="idempotent", retries=2, backoff=0.01)
    parts = {"a-step": step, "a-choice": Condition(lambda: True, [step], name="choice")}
    flow = pipeline(Step("first", upper, human_review=CONFIRM), parts[where])
    output = flow.run("hi")
    whole = definition_of(flow)
    code = {node: code for node, code in whole.layout.code.items() if node in {"workflow", "first"}}
    vars(flow)["_definition"] = replace(whole, layout=replace(whole.layout, code=code))
    only(output).confirm()
    runtime.call(lambda service: service.inbox.decide_all(OPERATOR, output.active_requirements))

    def told() -> str | None:
        return next((one.error for one in flow.get_steps(output.run_id) if one.error), None)

    wait_until(lambda: told() is not None)
    assert "is not in this worker" in (told() or "")
    vars(flow)["_definition"] = whole
    wait_until(lambda: flow.get_run_output(output.run_id).status is RunStatus.completed)
    # That a worker did not have it used up none of the retries.
    assert len(tries) == 3
    assert told() is None


def test_a_step_that_ended_is_not_done_again_blindly_because_of_what_it_left_in_the_state(
    runtime: Runtime,
) -> None:
    paid: list[str] = []

    def pay(told: StepInput) -> str:
        paid.append("paid")
        if len(paid) == 1:
            told.session_state["what"] = object()  # type: ignore[assignment]
        return "paid"

    flow = pipeline(pay, exclaim)
    output = flow.run("hi")
    assert output.error is not None
    assert output.error.code == "state_not_kept"
    output = flow.retry_run(output.run_id)
    assert "'pay' finished" in (only(output).question or "")
    assert paid == ["paid"]
    output = flow.continue_run(output.run_id, [only(output).run_again()])
    assert output.content == "paid!"
    assert paid == ["paid", "paid"]


def test_a_loop_that_was_asked_whether_it_is_over_is_asked_again(runtime: Runtime) -> None:
    """What it has done is not done again because a step beside it failed in that moment."""
    luck, asked, failed = Luck(), threading.Event(), threading.Event()

    def until(told: StepInput) -> bool:
        asked.set()
        failed.wait()
        return told.previous_content == "charge"

    def beside(told: StepInput) -> str:
        asked.wait()
        return luck.work(told)

    flow = pipeline(Parallel(Loop([luck.note("charge")], until, max_iterations=3), beside))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    failed.set()
    output = flow.retry_run(output.run_id)
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["charge", "work"]


@pytest.mark.parametrize("kind", ["steps", "parallel", "each", "iteration"])
def test_a_container_that_was_reviewed_is_reviewed_again(runtime: Runtime, kind: str) -> None:
    luck = Luck()
    review = HumanReview(requires_output_review=True)
    charge = luck.note("charge")
    blocks = {
        "steps": Steps([charge], name="all", human_review=review),
        "parallel": Parallel(charge, name="all", human_review=review),
        "each": Parallel(charge, for_each=lambda: [1], name="all", human_review=review),
        "iteration": Loop(
            [charge], max_iterations=1, human_review=HumanReview(requires_iteration_review=True)
        ),
    }

    def beside(told: StepInput) -> str:
        wait_until(lambda: bool(flow.get_run_output(told.run_id).active_requirements))
        return luck.work(told)

    flow = pipeline(Parallel(blocks[kind], beside))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    output = flow.retry_run(output.run_id)
    assert only(output).kind is RequirementKind.output_review
    only(output).confirm()
    output = go_on(flow, output)
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["charge", "work"]


@pytest.mark.parametrize("is_container", [False, True])
def test_an_output_that_nobody_reviewed_in_time_is_reviewed_after_all(
    runtime: Runtime, *, is_container: bool
) -> None:
    """That nobody said anything is no wish for another try."""
    luck = Luck()
    soon = Approval(due=timedelta(seconds=1))
    review = HumanReview(requires_output_review=True, approval=soon)
    charge = luck.note("charge")
    block = Steps([charge], human_review=review) if is_container else None
    flow = pipeline(block or Step("charge", charge.executor, human_review=review))
    output = flow.run("hi")
    wait_until(lambda: flow.get_run_output(output.run_id).status is RunStatus.error)
    output = flow.retry_run(output.run_id)
    output = flow.continue_run(output.run_id, [only(output).confirm()])
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["charge"]


def test_a_step_that_ended_the_pipeline_early_has_ended_it_for_good(runtime: Runtime) -> None:
    luck, stopped = Luck(), threading.Event()

    def stop() -> StepOutput:
        stopped.set()
        return StepOutput(content="enough", stop=True)

    def beside(told: StepInput) -> str:
        stopped.wait()
        wait_until(lambda: flow.get_steps(told.run_id)[2].outcome == "completed")
        return luck.work(told)

    flow = pipeline(Parallel(stop, beside), luck.note("after"))
    output = flow.run("hi")
    assert output.status is RunStatus.error
    luck.is_good = True
    output = flow.retry_run(output.run_id)
    assert output.status is RunStatus.completed, output.error
    assert luck.done == ["work"]


def test_what_is_retried_at_once_is_not_cancelled_by_what_ends_meanwhile(runtime: Runtime) -> None:
    """The workflow of the first try, and those inside it, hear of its end after the retry."""
    lucky: set[str] = set()

    def flaky(told: StepInput) -> str:
        if told.run_id not in lucky:
            lucky.add(told.run_id)
            raise ValueError("no luck")
        return "ok"

    inner = pipeline(Steps([Step(name, upper) for name in "abc"]), name="inner")
    flow = pipeline(Parallel(inner, flaky, Steps([Step(name, upper) for name in "def"])))
    for _ in range(5):
        output = flow.run("hi", background=True)
        while not output.status.is_final:
            output = flow.get_run_output(output.run_id)
        output = flow.retry_run(output.run_id)
        assert output.status is RunStatus.completed, output.error


@pytest.mark.parametrize("kind", ["function", "agent", "steps", "parallel"])
def test_what_was_rejected_after_it_paid_is_reviewed_again_and_pays_no_more(
    runtime: Runtime, kind: str
) -> None:
    done: list[str] = []

    @tool
    def charge() -> str:
        """Charge."""
        done.append("paid")
        return "paid"

    def pay() -> str:
        return str(charge())

    review = HumanReview(requires_output_review=True)
    payer = scripted([Call("charge"), "Paid."], [charge])
    blocks: dict[str, Step | Steps | Parallel] = {
        "function": Step("pay", pay, human_review=review),
        "agent": Step("pay", payer, human_review=review),
        "steps": Steps([Step("pay", pay)], name="all", human_review=review),
        "parallel": Parallel(Step("pay", payer), name="all", human_review=review),
    }
    flow = pipeline(blocks[kind])
    output = flow.run("hi")
    only(output).reject("no", by="dana")
    failed = go_on(flow, output)
    assert (failed.status, done) == (RunStatus.error, ["paid"])
    for _ in range(2):
        again = flow.retry_run(failed.run_id)
        assert only(again).kind is RequirementKind.output_review
        assert done == ["paid"]
        only(again).reject("still no", by="dana")
        assert go_on(flow, again).status is RunStatus.error
    again = flow.retry_run(failed.run_id)
    only(again).confirm(by="dana")
    assert go_on(flow, again).status is RunStatus.completed
    assert done == ["paid"]
