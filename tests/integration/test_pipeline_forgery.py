"""What was approved is what runs: rows of pipelines that somebody changed execute nothing."""

import pytest

from kern.client.runtime import Runtime
from kern.db import Database
from kern.run import RunOutput
from kern.states import RunStatus
from kern.workflow import HumanReview, Step, StepInput, Workflow
from tests.support.pipelines import only, pipeline

CONFIRM = HumanReview(requires_confirmation=True)


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
    from sqlalchemy import text

    db: Database = runtime.services.db
    db.write_now(lambda tx: tx.connection().execute(text(statement), values))


def paused(paid: Paid) -> tuple[Workflow, RunOutput]:
    flow = pipeline(Step("pay", paid.pay, human_review=CONFIRM))
    output = flow.run("40")
    assert output.is_paused
    return flow, output


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE tool_calls SET arguments = \'{"input":"4000"}\' WHERE step_id IS NOT NULL',
        "UPDATE requirements SET kind = 'user_feedback'",
        'UPDATE tool_calls SET gate = NULL, arguments = \'{"input":"4000"}\'',
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
        "UPDATE requirements SET status = 'resolved', verdict = 'approve', resolved_by = 'eve'",
    )
    sql(runtime, "UPDATE tool_calls SET approved_digest = digest")
    sql(runtime, "UPDATE steps SET waits = 0")
    handle = runtime.services.temporal.get_workflow_handle(output.run_id)

    async def wake() -> None:
        from kern.contracts import Resolved

        await handle.signal("resolved", Resolved(requirement_id=only(output).id))

    runtime.call(wake())
    output = flow.continue_run(output.run_id)
    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "arguments_changed"
    assert not paid.lines


def test_another_input_than_the_approved_one_does_not_run(runtime: Runtime, paid: Paid) -> None:
    from kern.checkpoints import arm

    flow, output = paused(paid)
    asked = only(output).confirm(by="dana")

    def forge(point: str) -> None:
        # Between the person's word and the execution.
        if point == "step.before_take":
            sql(
                runtime,
                'UPDATE tool_calls SET arguments = \'{"input":"4000"}\' WHERE gate IS NULL',
            )

    arm(forge)
    try:
        output = flow.continue_run(output.run_id, [asked])
    finally:
        arm(None)
    assert "4000" not in paid.lines
