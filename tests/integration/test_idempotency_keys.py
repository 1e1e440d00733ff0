"""Doing the same thing again carries the same key, and another thing another one."""

from collections.abc import Callable

import pytest

from kern.models.base import ModelRequest, ProviderError
from kern.models.scripted import Call
from kern.tools import RunContext, tool
from kern.values.states import RunStatus
from kern.workflow import HumanReview, Loop, Parallel, Step, StepInput, Workflow
from tests.support.agents import Ledger, scripted

pytestmark = pytest.mark.usefixtures("runtime")


def paying(ledger: Ledger, fails: list[bool]) -> Callable[[StepInput], str]:
    """Return a step that notes its key, and fails after it has sent for as long as it should."""

    def pay(step_input: StepInput) -> str:
        ledger.add(step_input.idempotency_key)
        if fails:
            fails.pop()
            message = "the bank's answer makes no sense"
            raise ValueError(message)
        return f"paid {step_input.item}"

    return pay


def test_a_step_that_is_tried_again_has_its_key(ledger: Ledger) -> None:
    fails = [True, True, True]
    step = Step("pay", paying(ledger, fails), effect="idempotent", retries=1, backoff=0.01)
    flow = Workflow(id="keys-retries", steps=[step])
    failed = flow.run("x")
    assert failed.status is RunStatus.error
    failed = flow.retry_run(failed.run_id)
    assert flow.continue_run(failed.run_id).status is RunStatus.completed
    assert len(ledger.lines) == 4
    assert len(set(ledger.lines)) == 1


def test_the_calls_of_a_run_that_begins_anew_have_their_keys(ledger: Ledger) -> None:
    @tool(effect="idempotent")
    def charge(amount: int, run_context: RunContext) -> str:
        ledger.add(f"{amount} {run_context.idempotency_key}")
        return "charged"

    runs: list[int] = []

    def script(request: ModelRequest) -> object:
        answers = sum(message.role == "assistant" for message in request.messages)
        if answers == 0:
            runs.append(1)
            return [
                Call("charge", amount=100),
                Call("charge", amount=100),
                Call("charge", amount=7),
            ]
        if len(runs) == 1:
            message = "the model is away"
            raise ProviderError(message, code="refused", retryable=False)
        return "charged"

    agent = scripted(script, [charge])  # type: ignore[arg-type]
    flow = Workflow(id="keys-agent", steps=[Step("charge", agent, retries=1, backoff=0.01)])
    assert flow.run("charge").status is RunStatus.completed
    first, again = ledger.lines[:3], ledger.lines[3:]
    assert sorted(first) == sorted(again)
    # Two calls with the same arguments in one answer are two intentions.
    assert len(set(first)) == 3


def test_other_items_iterations_and_runs_have_other_keys(ledger: Ledger) -> None:
    pay = paying(ledger, [])
    steps = [
        Parallel(Step("each", pay), for_each=lambda: ["a", "a", "b"], name="all"),
        Loop([Step("again", pay)], max_iterations=2, name="loop"),
    ]
    flow = Workflow(id="keys-items", steps=steps)
    flow.run("x")
    flow.run("x")
    assert len(ledger.lines) == len(set(ledger.lines)) == 10


def test_what_ended_well_and_is_wanted_once_more_has_another_key(ledger: Ledger) -> None:
    review = HumanReview(requires_output_review=True)
    step = Step("pay", paying(ledger, []), effect="idempotent", human_review=review)
    flow = Workflow(id="keys-review", steps=[step])
    paused = flow.run("x")
    paused.active_requirements[0].reject(by="dana")
    paused = flow.continue_run(paused.run_id, paused.requirements)
    paused.active_requirements[0].confirm(by="dana")
    assert flow.continue_run(paused.run_id, paused.requirements).status is RunStatus.completed
    assert len(set(ledger.lines)) == 2


def test_a_call_that_failed_and_is_asked_for_again_has_its_key(ledger: Ledger) -> None:
    fails = [True]

    @tool(effect="idempotent")
    def charge(amount: int, run_context: RunContext) -> str:
        ledger.add(f"{amount} {run_context.idempotency_key}")
        if fails:
            fails.pop()
            message = "no such account"
            raise ValueError(message)
        return "charged"

    call = Call("charge", amount=1)
    scripted([call, call, call, "Done."], [charge]).run("charge")
    first, second, third = ledger.lines
    assert first == second
    assert third != second


def test_an_edit_is_another_intention(ledger: Ledger) -> None:
    @tool(requires_confirmation=True)
    def charge(amount: int, run_context: RunContext) -> str:
        ledger.add(run_context.idempotency_key)
        return f"charged {amount}"

    agent = scripted([Call("charge", amount=100), "Done."], [charge])
    paused = agent.run("charge")
    before = paused.tools[0].idempotency_key
    edited = paused.active_requirements[0].edit({"amount": 1}, by="dana")
    done = agent.continue_run(paused.run_id, [edited])
    assert ledger.lines == [done.tools[0].idempotency_key]
    assert ledger.lines != [before]


@pytest.mark.parametrize("decision", ["reject", "run_again"])
def test_rejecting_what_happened_once_does_not_do_it_again(ledger: Ledger, decision: str) -> None:
    review = HumanReview(requires_output_review=True, on_reject="retry")
    flow = Workflow(
        id=f"once-{decision}", steps=[Step("pay", paying(ledger, []), human_review=review)]
    )
    paused = flow.run("x")
    [requirement] = paused.active_requirements
    assert "pay" in (requirement.question or "")
    assert "run_again()" in (requirement.question or "")
    if decision == "reject":
        requirement.reject("The amount is wrong.", by="dana")
        ended = flow.continue_run(paused.run_id, paused.requirements)
        assert ended.status is RunStatus.error
        assert len(ledger.lines) == 1
        return
    requirement.run_again("The amount is wrong.", by="dana")
    paused = flow.continue_run(paused.run_id, paused.requirements)
    assert paused.status is RunStatus.paused
    assert len(ledger.lines) == 2


def test_rejecting_what_an_agent_did_once_does_not_do_it_again(ledger: Ledger) -> None:
    @tool
    def pay() -> str:
        ledger.add("paid")
        return "paid"

    agent = scripted([Call("pay"), "Paid.", Call("pay"), "Paid."], [pay])
    review = HumanReview(requires_output_review=True)
    flow = Workflow(id="once-agent", steps=[Step("pay", agent, human_review=review)])
    paused = flow.run("x")
    paused.active_requirements[0].reject(by="dana")
    ended = flow.continue_run(paused.run_id, paused.requirements)
    assert ended.status is RunStatus.error
    assert ledger.lines == ["paid"]
