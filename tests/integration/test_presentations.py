"""What authors say about a call reaches the people who decide about it, and holds."""

import pytest

from kern.client.processes.runtime import Runtime
from kern.errors import InvalidDecision
from kern.models.scripted import Call
from kern.requirements import Risk
from kern.tools import Bounds, tool
from kern.values.states import RequirementKind, RunStatus
from kern.workflow import HumanReview, Step
from tests.support.agents import Ledger, scripted
from tests.support.pipelines import exclaim, go_on, only, pipeline, upper
from tests.support.waiting import wait_until


def test_a_person_sees_the_title_and_edits_within_the_bounds(
    runtime: Runtime, ledger: Ledger
) -> None:
    @tool(
        requires_confirmation=True,
        title="Refund {amount} {currency} for order {order_id}",
        risk="high",
        consequence="The customer is paid at once.",
        confirm="amount",
        edit_bounds={"amount": Bounds(only="down"), "currency": Bounds(one_of=["EUR", "USD"])},
        where_to_look="The ledger",
        subject="order_id",
        amount="amount",
        unit="currency",
    )
    def refund(order_id: str, amount: float, currency: str = "EUR") -> None:
        """Pay back."""
        ledger.add(f"{order_id} {amount} {currency}")

    agent = scripted([Call("refund", order_id="10\u200b42", amount=12500.5), "Paid."], [refund])
    paused = agent.run("Refund it")
    (item,) = paused.active_requirements

    assert item.title == 'Refund 12,500.5 EUR for order "10\\u200b42"'
    assert (item.risk, item.confirm_value, item.amount) == (Risk.high, "12500.5", "12500.5")
    assert (item.subject, item.unit) == ("10\\u200b42", "EUR")
    assert item.consequence == "The customer is paid at once."
    assert item.where_to_look == "The ledger"
    for name, value in (("amount", 13000), ("currency", "GBP"), ("order_id", "1042")):
        with pytest.raises(InvalidDecision, match=name):
            agent.continue_run(paused.run_id, [item.edit({name: value})])

    done = agent.continue_run(paused.run_id, [item.edit({"amount": 12000, "currency": "USD"})])

    assert done.content == "Paid."
    assert ledger.lines == ["10\u200b42 12000.0 USD"]
    (decided,) = done.requirements
    assert (decided.title, decided.edited_by) == (
        'Refund 12,000 USD for order "10\\u200b42"',
        decided.resolution and decided.resolution.by,
    )
    wait_until(lambda: agent.get_run_output(paused.run_id).requirements[0].delivered_at is not None)


def test_a_call_without_a_gate_is_shown_too_when_its_outcome_is_unknown(
    runtime: Runtime, ledger: Ledger
) -> None:
    @tool(title="Pay {amount}", where_to_look="The bank", risk="high", amount="amount")
    def pay(amount: float) -> None:
        """Pay."""
        raise TimeoutError

    agent = scripted([Call("pay", amount=1200), "Paid."], [pay])
    (item,) = agent.run("Pay").active_requirements
    assert item.kind is RequirementKind.unknown_outcome
    assert (item.title, item.where_to_look, item.risk) == ("Pay 1,200", "The bank", Risk.high)


def test_a_step_has_a_presentation_too(runtime: Runtime) -> None:
    review = HumanReview(
        requires_confirmation=True,
        requires_output_review=True,
        title="Shout {input}{output}",
        risk="low",
        edit_bounds={"output": Bounds(max_length=4)},
    )
    flow = pipeline(upper, Step("shout", exclaim, human_review=review))
    output = flow.run("hi")
    before = only(output)
    assert (before.title, before.risk) == ("Shout HI?", Risk.low)
    with pytest.raises(InvalidDecision, match="input may not be edited"):
        flow.continue_run(output.run_id, [before.edit({"input": "Bye"})])
    (before,) = flow.get_run_output(output.run_id).active_requirements
    output = flow.continue_run(output.run_id, [before.confirm()])
    after = only(output)
    assert after.title == "Shout ?HI!"
    with pytest.raises(InvalidDecision, match="max_length"):
        flow.continue_run(output.run_id, [after.edit({"output": "Hello"})])
    after.edit({"output": "Hey!"})
    ended = go_on(flow, output)
    assert (ended.status, ended.content) == (RunStatus.completed, "Hey!")


def test_a_failed_step_has_the_risk_of_the_step_and_no_title(runtime: Runtime) -> None:
    def fails(step_input: object) -> str:
        raise ValueError

    review = HumanReview(requires_confirmation=True, title="Do {input}", risk="high")
    flow = pipeline(Step("do", fails, human_review=review, on_error="pause"))
    output = flow.run("hi")
    output = flow.continue_run(output.run_id, [only(output).confirm()])
    failure = only(output)
    assert failure.kind is RequirementKind.error
    assert (failure.title, failure.risk) == (None, Risk.high)
