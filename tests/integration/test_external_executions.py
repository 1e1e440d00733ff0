"""Calls that are executed outside Kern, and of which nobody knows whether they happened."""

from collections.abc import Callable

import pytest

from kern.activities import reconciliation
from kern.agent import Agent
from kern.errors import InvalidDecision
from kern.models.scripted import Call, ScriptedModel
from kern.requirements import Requirement, RequirementKind, UnknownReason
from kern.run import RunOutput
from kern.team import Team
from kern.tools import Approval, DidNotHappen, Happened, StillUnknown, tool
from kern.values.states import RunStatus, ToolCallStatus
from tests.support.agents import Ledger, scripted

WHY = "The desk had closed."


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "_PAUSES", (0.0, 0.0))


def shipping(ledger: Ledger, **options: object) -> Agent:
    @tool(external_execution=True, **options)  # type: ignore[call-overload,untyped-decorator]
    def ship(order_id: str) -> None:
        """Ship an order."""
        ledger.add(order_id)

    return scripted([Call("ship", order_id="7"), "Done."], [ship])


def only(output: RunOutput, kind: RequirementKind) -> Requirement:
    assert output.status is RunStatus.paused
    [item] = output.active_requirements
    assert item.kind is kind
    return item


def reported(agent: Agent) -> tuple[str, RunOutput]:
    paused = agent.run("Ship 7")
    asked = only(paused, RequirementKind.external_execution)
    output = agent.continue_run(paused.run_id, [asked.mark_unknown(WHY, by="dana")])
    return paused.run_id, output


def reports_to_the_model(output: RunOutput) -> list[str]:
    return [str(message.content) for message in output.messages if message.role == "tool"]


def again(agent: Agent, run_id: str, output: RunOutput) -> Requirement:
    doubt = only(output, RequirementKind.unknown_outcome)
    return only(
        agent.continue_run(run_id, [doubt.run_again(by="eli")]), RequirementKind.external_execution
    )


@pytest.mark.usefixtures("runtime_on_each")
def test_whoever_does_not_know_leaves_it_to_a_person_with_the_facts(ledger: Ledger) -> None:
    agent = shipping(ledger)
    run_id, output = reported(agent)
    doubt = only(output, RequirementKind.unknown_outcome)
    [call] = output.tools
    assert call.status is ToolCallStatus.unknown
    facts = doubt.attempt
    assert facts is not None
    assert (facts.reason, facts.reported_by, facts.report) == (UnknownReason.reported, "dana", WHY)
    assert facts.reported_at is not None
    assert facts.idempotency_key == call.idempotency_key
    assert (doubt.arguments, doubt.tool_name) == ({"order_id": "7"}, "ship")
    assert reports_to_the_model(output) == []
    done = agent.continue_run(run_id, [doubt.mark_happened("tracking X1", by="eli")])
    assert (done.content, reports_to_the_model(done)) == ("Done.", ["tracking X1"])
    assert ledger.lines == []


@pytest.mark.usefixtures("runtime_on_each")
def test_running_it_again_asks_for_it_once_more_under_the_same_key(ledger: Ledger) -> None:
    agent = shipping(ledger, approval=Approval(candidates=("dana", "eli")))
    run_id, output = reported(agent)
    key = output.tools[0].idempotency_key
    asked = again(agent, run_id, output)
    assert asked.attempt is not None
    assert (asked.attempt.report, asked.attempt.idempotency_key) == (WHY, key)
    assert asked.candidates == ["dana", "eli"]
    twice = agent.continue_run(run_id, [asked.mark_unknown("Nor did I.", by="dana")])
    doubt = only(twice, RequirementKind.unknown_outcome)
    assert doubt.attempt is not None
    assert (doubt.attempt.report, doubt.attempt.idempotency_key) == ("Nor did I.", key)
    asked = again(agent, run_id, twice)
    done = agent.continue_run(run_id, [asked.set_external_execution_result("X2", by="eli")])
    assert (done.content, done.tools[0].idempotency_key) == ("Done.", key)
    assert reports_to_the_model(done) == ["X2"]
    assert ledger.lines == []


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("effect", ["once", "idempotent", "read"])
@pytest.mark.parametrize("ending", ["reject", "fail", "reject_again"])
def test_it_is_never_reported_as_failed_nor_executed_without_a_word(
    ledger: Ledger, effect: str, ending: str
) -> None:
    agent = shipping(ledger, effect=effect)
    run_id, output = reported(agent)
    if ending == "fail":
        doubt = only(output, RequirementKind.unknown_outcome)
        done = agent.continue_run(run_id, [doubt.fail("Nobody knows.", by="eli")])
        assert (done.status, reports_to_the_model(done)) == (RunStatus.error, [])
    else:
        open_item = only(output, RequirementKind.unknown_outcome)
        if ending == "reject_again":
            open_item = again(agent, run_id, output)
        done = agent.continue_run(run_id, [open_item.reject("Leave it.", by="eli")])
        [text] = reports_to_the_model(done)
        assert "It is unknown whether this call ran" in text
        assert "was not executed" not in text
    assert ledger.lines == []


@pytest.mark.usefixtures("runtime_on_each")
@pytest.mark.parametrize("answer", [Happened("X3"), DidNotHappen(), StillUnknown("closed")])
def test_the_reconciler_is_asked_before_a_person(ledger: Ledger, answer: object) -> None:
    def look_up(key: str, arguments: dict[str, object]) -> object:
        ledger.add(f"looked up {arguments['order_id']} by {key}")
        return answer

    agent = shipping(ledger, reconcile=look_up)
    run_id, output = reported(agent)
    key = output.tools[0].idempotency_key
    assert set(ledger.lines) == {f"looked up 7 by {key}"}
    match answer:
        case Happened():
            assert (output.content, reports_to_the_model(output)) == ("Done.", ["X3"])
        case DidNotHappen():
            asked = only(output, RequirementKind.external_execution)
            assert asked.attempt is None
            done = agent.continue_run(run_id, [asked.set_external_execution_result("X4", by="eli")])
            assert (reports_to_the_model(done), done.tools[0].idempotency_key) == (["X4"], key)
        case _:
            doubt = only(output, RequirementKind.unknown_outcome)
            assert doubt.attempt is not None
            assert doubt.attempt.reason is UnknownReason.reported
            assert "closed" in doubt.attempt.evidence[-1]
            assert doubt.attempt.report == WHY


@pytest.mark.usefixtures("runtime")
def test_a_member_of_a_team_may_not_know_either(ledger: Ledger) -> None:
    member = shipping(ledger)
    leader = ScriptedModel([Call("delegate_task_to_member", member_id=member.id, task="7"), "All."])
    team = Team(name="Logistics", model=leader, members=[member])
    paused = team.run("Ship 7")
    asked = only(paused, RequirementKind.external_execution)
    output = team.continue_run(paused.run_id, [asked.mark_unknown(WHY, by="dana")])
    doubt = only(output, RequirementKind.unknown_outcome)
    done = team.continue_run(paused.run_id, [doubt.mark_happened("X1", by="eli")])
    assert done.content == "All."


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("note", ["", " "])
def test_it_takes_a_reason(ledger: Ledger, note: str) -> None:
    agent = shipping(ledger)
    paused = agent.run("Ship 7")
    asked = only(paused, RequirementKind.external_execution)
    with pytest.raises(InvalidDecision, match="why nobody knows"):
        agent.continue_run(paused.run_id, [asked.mark_unknown(note, by="dana")])


WRONG: list[Callable[[Requirement], Requirement]] = [
    lambda item: item.mark_unknown(WHY, by="eli"),
    lambda item: item.set_external_execution_result("X", by="eli"),
]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("decide", WRONG)
def test_only_a_call_from_elsewhere_is_reported_so(
    ledger: Ledger, decide: Callable[[Requirement], Requirement]
) -> None:
    _, output = reported(shipping(ledger))
    with pytest.raises(InvalidDecision, match="mark_happened"):
        decide(only(output, RequirementKind.unknown_outcome))
