"""Everything that a run can wait for from a person, and every way to resolve it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator
from sqlmodel import select

from kern.client.processes.runtime import Runtime
from kern.contracts.viewer import Viewer
from kern.db.engine.tables import EventRow
from kern.db.turns import late_results
from kern.errors import AlreadyResolved, ArgumentsChanged, InvalidDecision, NotAllowed
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.tools import Approval, Escalation, ask_user, tool
from kern.values.states import RequirementKind, RunStatus, ToolOutcome
from tests.support.agents import Ledger, scripted
from tests.support.waiting import wait_until


def test_a_person_fills_in_what_the_model_may_not(runtime_on_each: Runtime, ledger: Ledger) -> None:
    @tool(requires_user_input=True, user_input_fields=["address"])
    def send(subject: str, address: str, copies: int = 1) -> None:
        """Send a mail.

        Args:
            address: Where it goes.
        """
        ledger.add(f"{subject} {address} {copies}")

    agent = scripted([Call("send", subject="Hi"), "Sent."], [send])
    paused = agent.run("Send it")
    (requirement,) = paused.active_requirements
    (field,) = requirement.fields

    assert requirement.needs_user_input
    assert (field.name, field.type, field.description, field.required) == (
        *("address", "string", "Where it goes."),
        True,
    )
    with pytest.raises(InvalidDecision, match="'address' is missing"):
        agent.continue_run(paused.run_id, [requirement.provide_user_input({})])
    with pytest.raises(InvalidDecision, match="'subject' is not asked for"):
        agent.continue_run(
            paused.run_id, [requirement.provide_user_input({"address": "a", "subject": "b"})]
        )
    with pytest.raises(
        InvalidDecision, match=r"address: Input should be a valid string \(got '5'\)"
    ):
        agent.continue_run(paused.run_id, [requirement.provide_user_input({"address": 5})])

    done = agent.continue_run(
        paused.run_id, [requirement.provide_user_input({"address": "a@example.org"})]
    )

    assert done.content == "Sent."
    assert ledger.lines == ["Hi a@example.org 1"]


def test_a_person_chooses_among_the_models_options(runtime: Runtime) -> None:
    question = Call("ask_user", question="Which size?", options=["S", "M"])
    agent = scripted([question, "Noted."], [ask_user])
    paused = agent.run("Order a shirt")
    (requirement,) = paused.active_requirements

    assert requirement.needs_user_feedback
    assert requirement.question == "Which size?"
    assert requirement.choices == ["S", "M"]
    for wrong in ("XL", ["S", "M"], []):
        with pytest.raises(InvalidDecision):
            agent.continue_run(paused.run_id, [requirement.provide_user_feedback(wrong)])

    done = agent.continue_run(paused.run_id, [requirement.provide_user_feedback("M")])

    assert done.content == "Noted."
    assert done.tools[0].result == '"M"'


def test_a_call_that_is_executed_elsewhere_takes_its_result_from_a_person(
    runtime: Runtime, ledger: Ledger
) -> None:
    @tool(external_execution=True)
    def ship(order_id: str) -> None:
        """Ship an order."""
        ledger.add(order_id)

    agent = scripted([Call("ship", order_id="7"), "Shipped."], [ship])
    paused = agent.run("Ship 7")
    requirement = paused.active_requirements[0]

    assert requirement.needs_external_execution
    with pytest.raises(InvalidDecision, match="set_external_execution_result"):
        requirement.confirm()
    done = agent.continue_run(
        paused.run_id, [requirement.set_external_execution_result({"tracking": "X1"})]
    )

    assert done.tools[0].result == '{"tracking":"X1"}'
    assert ledger.lines == []


def test_several_open_at_once_are_resolved_one_by_one_and_the_ungated_goes_on(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    @tool(requires_confirmation=True)
    def pay(order_id: str) -> str:
        """Pay."""
        ledger.add(f"pay {order_id}")
        return f"paid {order_id}"

    def look(order_id: str) -> str:
        """Look."""
        ledger.add(f"look {order_id}")
        return f"seen {order_id}"

    calls = [Call("pay", order_id="1"), Call("look", order_id="2"), Call("pay", order_id="3")]
    agent = scripted([calls, "All done."], [pay, look])
    paused = agent.run("Pay 1 and 3, look at 2")

    assert paused.is_paused
    assert ledger.lines == ["look 2"]
    first, second = paused.active_requirements

    still = agent.continue_run(paused.run_id, [second.confirm(by="dana")])
    assert still.is_paused
    assert ledger.lines == ["look 2", "pay 3"]
    assert [item.id for item in still.active_requirements] == [first.id]

    done = agent.continue_run(paused.run_id, [first.reject(by="dana")])
    assert done.status is RunStatus.completed
    assert ledger.lines == ["look 2", "pay 3"]
    assert [message.content for message in done.messages[2:5]][1:] == ["seen 2", "paid 3"]


def test_a_predicate_gates_only_what_it_says_and_fails_closed(
    runtime: Runtime, ledger: Ledger
) -> None:
    def is_much(amount: float) -> bool:
        if amount < 0:
            message = "what is this"
            raise ValueError(message)
        return amount > 100

    @tool(requires_confirmation=is_much)
    def pay(amount: float) -> None:
        """Pay."""
        ledger.add(str(amount))

    agent = scripted([[Call("pay", amount=a) for a in (5, 500, -1)], "Done."], [pay])
    paused = agent.run("Pay")

    assert ledger.lines == ["5.0"]
    assert [r.arguments["amount"] for r in paused.active_requirements] == [500.0, -1.0]


def test_the_first_decision_stands_and_the_second_is_told_of_it(runtime: Runtime) -> None:
    @tool(requires_confirmation=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    mine, yours = paused.requirements[0], paused.model_copy(deep=True).requirements[0]
    agent.continue_run(paused.run_id, [mine.confirm(by="dana")])

    with pytest.raises(AlreadyResolved, match="'dana' decided 'approve'"):
        agent.continue_run(paused.run_id, [yours.reject(by="eve")])


def test_arguments_that_were_altered_without_edit_are_refused(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: float) -> None:
        """Pay."""
        ledger.add(str(amount))

    agent = scripted([Call("pay", amount=5), "Done."], [pay])
    paused = agent.run("Pay")
    requirement = paused.requirements[0]
    requirement.arguments["amount"] = 5000.0

    with pytest.raises(ArgumentsChanged):
        agent.continue_run(paused.run_id, [requirement.confirm()])

    assert agent.get_run_output(paused.run_id).is_paused
    assert ledger.lines == []


def test_an_edit_that_does_not_fit_the_schema_changes_nothing(runtime: Runtime) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: float) -> None:
        """Pay."""

    agent = scripted([Call("pay", amount=5), "Done."], [pay])
    paused = agent.run("Pay")
    requirement = paused.requirements[0]

    with pytest.raises(InvalidDecision, match=r"amount: Input should be .*got 'much'"):
        agent.continue_run(paused.run_id, [requirement.edit({"amount": "much"})])
    with pytest.raises(InvalidDecision, match="currency: Extra inputs are not permitted"):
        agent.continue_run(paused.run_id, [requirement.edit({"currency": "EUR"})])
    assert agent.get_run_output(paused.run_id).is_paused


def test_an_edit_is_held_against_what_no_schema_says(runtime: Runtime, ledger: Ledger) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: Annotated[int, AfterValidator(_even)], when: datetime) -> None:
        """Pay."""
        ledger.add(f"{amount} {when:%Y}")

    agent = scripted([Call("pay", amount=2, when="2026-01-01T00:00:00Z"), "Done."], [pay])
    paused = agent.run("Pay")
    requirement = paused.requirements[0]

    with pytest.raises(InvalidDecision, match=r"amount: Value error, 3 is odd.*Nothing was dec"):
        agent.continue_run(paused.run_id, [requirement.edit({"amount": 3})])
    # Whoever has not the code has the schema.
    requirement.edit({"when": "soon"})
    with pytest.raises(InvalidDecision, match="when: 'soon' is not a 'date-time'"):
        runtime.call(lambda service: service.inbox.decide_all(Viewer(None), [requirement]))
    assert agent.get_run_output(paused.run_id).is_paused

    done = agent.continue_run(
        paused.run_id, [requirement.edit({"amount": 4, "when": "2027-01-01T00:00:00Z"})]
    )
    assert done.content == "Done."
    assert ledger.lines == ["4 2027"]


def _even(number: int) -> int:
    if number % 2:
        message = f"{number} is odd"
        raise ValueError(message)
    return number


def test_all_decisions_of_one_call_are_accepted_or_none(runtime: Runtime) -> None:
    @tool(requires_confirmation=True)
    def pay(order_id: str) -> None:
        """Pay."""

    agent = scripted([[Call("pay", order_id="1"), Call("pay", order_id="2")], "Done."], [pay])
    paused = agent.run("Pay both")
    first, second = paused.requirements
    first.confirm()
    second.edit({"order_id": 5})

    with pytest.raises(InvalidDecision):
        agent.continue_run(paused.run_id, [first, second])
    assert len(agent.get_run_output(paused.run_id).active_requirements) == 2


def test_only_candidates_decide_and_a_quorum_needs_different_people(runtime: Runtime) -> None:
    policy = Approval(candidates=("ann", "bob", "cy"), excluded=("cy",), quorum=2)

    @tool(requires_confirmation=True, approval=policy)
    def pay() -> str:
        """Pay."""
        return "paid"

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    run_id, requirement = paused.run_id, paused.requirements[0]

    for stranger in ("eve", "cy"):
        with pytest.raises(NotAllowed):
            agent.continue_run(run_id, [requirement.confirm(by=stranger)])
    once = agent.continue_run(run_id, [requirement.confirm(by="ann")])
    assert once.is_paused
    assert once.requirements[0].approvals == 1
    with pytest.raises(AlreadyResolved, match="'ann' has already decided"):
        agent.continue_run(run_id, [requirement.confirm(by="ann")])

    done = agent.continue_run(run_id, [requirement.confirm(by="bob")])
    assert done.tools[0].outcome is ToolOutcome.result


@pytest.mark.parametrize("on_expiry", ["reject", "approve", "fail"])
def test_silence_until_the_deadline_means_what_the_author_wrote(
    runtime: Runtime, ledger: Ledger, on_expiry: str
) -> None:
    policy = Approval.model_validate({"due": timedelta(seconds=0.3), "on_expiry": on_expiry})

    @tool(requires_confirmation=True, approval=policy)
    def pay() -> None:
        """Pay."""
        ledger.add("paid")

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    wait_until(lambda: agent.get_run_output(paused.run_id).status.is_final)
    output = agent.get_run_output(paused.run_id)

    assert output.requirements[0].status == "expired"
    assert ledger.lines == (["paid"] if on_expiry == "approve" else [])
    assert output.status == ("error" if on_expiry == "fail" else "completed")
    with pytest.raises(AlreadyResolved, match="'kern' decided"):
        agent.continue_run(paused.run_id, [paused.requirements[0].confirm()])


def test_others_are_asked_and_all_reminded_while_nobody_decides(
    runtime: Runtime, ledger: Ledger
) -> None:
    second = timedelta(seconds=1)
    policy = Approval(
        candidates=("dana",), remind=second, escalate=Escalation(after=second, to=("boss",))
    )

    @tool(requires_confirmation=True, approval=policy)
    def pay() -> None:
        """Pay."""
        ledger.add("paid")

    agent = scripted([Call("pay"), "Done."], [pay])
    run_id = agent.run("Pay").run_id

    def told() -> set[str]:
        with runtime.services.db.engine.connect() as connection:
            rows = connection.execute(select(EventRow.kind).where(EventRow.run_id == run_id))
            return set(rows.scalars())

    wait_until(lambda: {"requirement_reminded", "requirement_escalated"} <= told())
    seen = agent.get_run_output(run_id).active_requirements
    assert seen[0].candidates == ["dana", "boss"]
    done = agent.continue_run(run_id, [seen[0].confirm(by="boss")])
    assert (done.content, ledger.lines) == ("Done.", ["paid"])


def test_a_call_that_takes_too_long_is_asked_about_and_answers_for_itself(
    runtime: Runtime, ledger: Ledger, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"

    @tool(timeout=0.2)
    def pay() -> str:
        """Pay slowly."""
        ledger.add("paid")
        wait_until(gate.exists)
        return "paid after all"

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    assert [r.kind for r in paused.active_requirements] == [RequirementKind.unknown_outcome]

    gate.touch()
    wait_until(lambda: agent.get_run_output(paused.run_id).status.is_final)

    output = agent.get_run_output(paused.run_id)
    assert output.content == "Done."
    assert output.tools[0].result == "paid after all"
    assert output.requirements[0].resolution is not None
    assert output.requirements[0].resolution.by == "kern"
    assert ledger.lines == ["paid"]


@pytest.mark.parametrize("answer", ["happened", "run_again", "reject", "fail"])
def test_every_answer_to_an_unknown_outcome(
    runtime: Runtime, ledger: Ledger, tmp_path: Path, answer: str
) -> None:
    gate = tmp_path / "gate"

    @tool(timeout=0.2)
    def pay() -> str:
        """Pay; the first time hangs."""
        ledger.add("tried")
        if len(ledger.lines) == 1:
            wait_until(gate.exists)
        return "paid"

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    requirement = paused.active_requirements[0]
    assert requirement.needs_outcome
    with pytest.raises(InvalidDecision, match="run_again"):
        requirement.confirm()
    answers: dict[str, Callable[[], Requirement]] = {
        "happened": lambda: requirement.mark_happened("it was paid"),
        "run_again": lambda: requirement.run_again(even_if_running=True),
        "reject": lambda: requirement.reject("leave it"),
        "fail": lambda: requirement.fail("nobody knows"),
    }

    done = agent.continue_run(paused.run_id, [answers[answer]()])
    gate.touch()

    assert ledger.lines == ["tried"] * (2 if answer == "run_again" else 1)
    assert done.status == ("error" if answer == "fail" else "completed")
    expected = {"happened": "it was paid", "run_again": "paid"}.get(answer)
    if expected:
        assert done.tools[0].result == expected
    if answer != "fail":
        # What the first attempt came to after all is recorded, and nothing else changes.
        db = runtime.services.db
        wait_until(lambda: db.read_now(lambda tx: late_results.results_of(tx, done.run_id)))
        assert agent.get_run_output(done.run_id).tools == done.tools
