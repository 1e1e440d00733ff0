"""What was approved is what runs: rows of pipelines that somebody changed execute nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kern.client.processes.runtime import Runtime
from kern.db.engine.store import Store
from kern.run import RunOutput
from kern.values.states import RunStatus
from kern.workflow import HumanReview, Loop, Parallel, Router, Step, StepInput, Steps, Workflow
from tests.support.pipelines import exclaim, only, pipeline, upper
from tests.support.raw_sql import execute_sql
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of

CONFIRM = HumanReview(requires_confirmation=True)
REVIEW = HumanReview(requires_output_review=True)
ITERATION = HumanReview(requires_iteration_review=True)
ROUTE = HumanReview(requires_route_choice=True)


class Paid:
    """A step that notes what it paid."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pay(self, told: StepInput) -> str:
        self.lines.append(str(told.previous_content))
        return "paid"


@pytest.fixture
def paid() -> Paid:
    return Paid()


def sql(runtime: Runtime, statement: str, **values: object) -> None:
    """Change rows behind Kern's back."""
    db: Store = runtime.services.db
    db.write_now(lambda tx: execute_sql(tx, statement, **values))


def is_refused(output: RunOutput) -> bool:
    """Whether a run ended because rows were changed."""
    return output.error is not None and output.error.code == "arguments_changed"


def paused(paid: Paid) -> tuple[Workflow, RunOutput]:
    flow = pipeline(Step("pay", paid.pay, human_review=CONFIRM))
    output = flow.run("40")
    assert output.is_paused
    return flow, output


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE kern_tool_calls SET arguments = \'{"input":"4000"}\' WHERE step_id IS NOT NULL',
        "UPDATE kern_requirements SET kind = 'user_feedback'",
        'UPDATE kern_tool_calls SET gate = NULL, arguments = \'{"input":"4000"}\'',
    ],
)
def test_what_was_forged_before_the_approval_does_not_run(
    runtime: Runtime, paid: Paid, statement: str
) -> None:
    flow, output = paused(paid)
    asked = only(output).confirm(by="dana")
    sql(runtime, statement)
    try:
        output = flow.continue_run(output.run_id, [asked])
    except Exception:  # noqa: BLE001  refused at once is as good
        output = flow.get_run_output(output.run_id)
    assert paid.lines in ([], ["40"])
    assert "4000" not in paid.lines
    assert output.status is not RunStatus.completed or paid.lines == ["40"]


def test_a_verdict_without_a_decision_runs_nothing(runtime: Runtime, paid: Paid) -> None:
    flow, output = paused(paid)
    sql(
        runtime,
        "UPDATE kern_requirements"
        " SET status = 'resolved', verdict = 'approve', resolved_by = 'eve'",
    )
    sql(runtime, "UPDATE kern_tool_calls SET approved_digest = digest")
    sql(runtime, "UPDATE kern_steps SET is_waiting = false")
    handle = handle_of(runtime, output.run_id)

    async def wake() -> None:
        from kern.contracts.messages import Resolved

        await handle.signal("resolved", Resolved(requirement_id=only(output).id))

    runtime.call(lambda _: wake())
    wait_until(lambda: flow.get_run_output(output.run_id).status is RunStatus.error)
    output = flow.get_run_output(output.run_id)
    assert output.error is not None
    assert output.error.code == "arguments_changed"
    assert not paid.lines


def test_another_input_than_the_approved_one_does_not_run(runtime: Runtime, paid: Paid) -> None:
    from kern.process.checkpoints import arm

    flow, output = paused(paid)
    asked = only(output).confirm(by="dana")

    def forge(point: str) -> None:
        # Between the person's word and the execution.
        if point == "step.before_take":
            sql(
                runtime,
                'UPDATE kern_tool_calls SET arguments = \'{"input":"4000"}\' WHERE gate IS NULL',
            )

    arm(forge)
    try:
        output = flow.continue_run(output.run_id, [asked])
    finally:
        arm(None)
    assert "4000" not in paid.lines


def draft() -> str:
    return "A"


REVIEWED: dict[str, Callable[[], object]] = {
    "step": lambda: Step("draft", draft, human_review=REVIEW),
    "steps": lambda: Steps([Step("draft", draft)], name="all", human_review=REVIEW),
    "parallel": lambda: Parallel(Step("draft", draft), name="all", human_review=REVIEW),
    "loop": lambda: Loop([Step("draft", draft)], max_iterations=2, human_review=ITERATION),
}


@pytest.mark.parametrize("kind", REVIEWED)
def test_an_output_that_was_changed_before_its_approval_goes_no_further(
    runtime: Runtime, paid: Paid, kind: str
) -> None:
    flow = pipeline(REVIEWED[kind](), Step("pay", paid.pay))
    output = flow.run("40")
    asked = only(output).confirm(by="dana")
    sql(runtime, """UPDATE kern_steps SET content = '"EVIL"' WHERE content IS NOT NULL""")
    output = flow.continue_run(output.run_id, [asked])
    assert is_refused(output)
    assert not paid.lines


def gated(kind: str, paid: Paid) -> object:
    pay = Step("pay", paid.pay)
    match kind:
        case "steps":
            return Steps([pay], name="all", human_review=CONFIRM)
        case "parallel":
            return Parallel(pay, name="all", human_review=CONFIRM)
        case "loop":
            return Loop([pay], max_iterations=1, human_review=CONFIRM)
        case "nested":
            return Step("inner", pipeline(pay, name="inner"), human_review=CONFIRM)
        case _:
            return Step("pay", paid.pay, human_review=CONFIRM)


@pytest.mark.parametrize("kind", ["step", "steps", "parallel", "loop", "nested"])
@pytest.mark.parametrize("first", [True, False])
def test_an_input_that_was_changed_before_the_approval_begins_nothing(
    runtime: Runtime, paid: Paid, kind: str, *, first: bool
) -> None:
    one = gated(kind, paid)
    flow = pipeline(one) if first else pipeline(Step("draft", draft), one)
    output = flow.run("40")
    asked = only(output).confirm(by="dana")
    sql(runtime, "UPDATE kern_runs SET input = '4000'")
    sql(runtime, """UPDATE kern_steps SET content = '"4000"' WHERE content IS NOT NULL""")
    output = flow.continue_run(output.run_id, [asked])
    assert is_refused(output)
    assert not paid.lines


def test_what_was_edited_stands_whatever_became_of_the_rows(runtime: Runtime, paid: Paid) -> None:
    flow = pipeline(Steps([Step("pay", paid.pay)], name="all", human_review=CONFIRM))
    output = flow.run("40")
    asked = only(output).edit({"input": "30"}, by="dana")
    sql(runtime, "UPDATE kern_runs SET input = '4000'")
    assert flow.continue_run(output.run_id, [asked]).status is RunStatus.completed
    assert paid.lines == ["30"]


def test_what_a_later_branch_begins_with_is_what_was_approved(runtime: Runtime, paid: Paid) -> None:
    def forge() -> None:
        sql(runtime, "UPDATE kern_runs SET input = '4000'")

    one = Parallel(forge, Step("pay", paid.pay), max_concurrency=1, human_review=CONFIRM)
    flow = pipeline(one)
    output = flow.run("40")
    output = flow.continue_run(output.run_id, [only(output).confirm(by="dana")])
    assert is_refused(output)
    assert not paid.lines


FORGED_AFTER = {
    "route": "UPDATE kern_tool_calls SET result = '\"pay\"' WHERE gate = 'user_feedback'",
    "question": 'UPDATE kern_tool_calls SET arguments = \'{"input":"9"}\' WHERE gate IS NOT NULL',
    "verdict": "UPDATE kern_requirements SET verdict = 'run_again'",
    "skip": "UPDATE kern_requirements SET verdict = 'skip'",
}


def forged_after(runtime: Runtime, flow: Workflow, output: RunOutput, statement: str) -> RunOutput:
    """Submit a decision, and change rows before the run's workflow hears of it."""
    from kern.process.checkpoints import arm

    def forge(point: str) -> None:
        if point == "step.before_take":
            sql(runtime, statement)

    arm(forge)
    try:
        return flow.continue_run(output.run_id, [*output.active_requirements])
    finally:
        arm(None)


@pytest.mark.parametrize("what", ["route", "question"])
def test_a_route_that_nobody_chose_is_not_taken(runtime: Runtime, paid: Paid, what: str) -> None:
    flow = pipeline(Router(choices=[upper, Step("pay", paid.pay)], human_review=ROUTE))
    output = flow.run("40")
    only(output).provide_user_feedback("upper", by="dana")
    assert is_refused(forged_after(runtime, flow, output, FORGED_AFTER[what]))
    assert not paid.lines


def test_a_route_is_not_changed_on_the_way(runtime: Runtime, paid: Paid) -> None:
    several = HumanReview(requires_route_choice=True, allow_multiple_routes=True)
    held = Step("held", exclaim, human_review=REVIEW)
    flow = pipeline(Router(choices=[held, upper, Step("pay", paid.pay)], human_review=several))
    output = flow.run("40")
    only(output).provide_user_feedback(["held", "upper"], by="dana")
    output = flow.continue_run(output.run_id, output.requirements)
    asked = only(output).confirm(by="dana")
    sql(runtime, "UPDATE kern_steps SET chosen = '[0,2]' WHERE chosen IS NOT NULL")
    assert is_refused(flow.continue_run(output.run_id, [asked]))
    assert not paid.lines


@pytest.mark.parametrize(("said", "what"), [("skip", "verdict"), ("run_again", "skip")])
def test_what_nobody_said_about_a_failure_is_not_done(
    runtime: Runtime, said: str, what: str
) -> None:
    tries: list[int] = []

    def broken() -> None:
        tries.append(1)
        raise ValueError

    flow = pipeline(upper, Step("bad", broken, on_error="pause"))
    output = flow.run("hi")
    getattr(only(output), said)(by="dana")
    assert is_refused(forged_after(runtime, flow, output, FORGED_AFTER[what]))
    assert tries == [1]


@pytest.mark.parametrize("kind", ["step", "nested"])
def test_a_step_is_done_again_only_with_what_was_approved(
    runtime: Runtime, paid: Paid, kind: str
) -> None:
    review = HumanReview(requires_confirmation=True, requires_output_review=True)
    inner = paid.pay if kind == "step" else pipeline(Step("pay", paid.pay), name="inner")
    flow = pipeline(Step("outer", inner, human_review=review))
    output = flow.run("40")
    output = flow.continue_run(output.run_id, [only(output).confirm(by="dana")])
    asked = only(output).run_again("again", by="dana")
    sql(runtime, "UPDATE kern_runs SET input = '4000'")
    assert is_refused(flow.continue_run(output.run_id, [asked]))
    assert len(paid.lines) == 1


@pytest.mark.parametrize("said", ["happened", "reject", "true"])
def test_a_step_came_to_nothing_but_what_a_person_said(
    runtime: Runtime, paid: Paid, tmp_path: Path, said: str
) -> None:
    gate = tmp_path / "gate"
    flow = pipeline(
        Step("slow", lambda: wait_until(gate.exists), timeout=0.2), Step("pay", paid.pay)
    )
    output = flow.run("40")
    asked = only(output)
    assert asked.needs_outcome
    if said == "reject":
        asked.reject("no", by="dana")
    else:
        asked.mark_happened("40", by="dana")
    forged = """
        UPDATE kern_tool_calls SET outcome = 'result', result = '{"content": "4000", "stop": false}'
        WHERE status = 'done'
    """
    output = forged_after(runtime, flow, output, "SELECT 1" if said == "true" else forged)
    gate.touch()
    assert is_refused(output) is (said != "true")
    assert paid.lines == (["40"] if said == "true" else [])
