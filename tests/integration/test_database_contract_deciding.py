"""The database contract: decisions about every kind of requirement, on every database."""

from typing import Any

import pytest
from pydantic import JsonValue

from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted, Submission
from kern.db.journal import verification
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading import inbox_pages
from kern.db.reading.inbox_filters import InboxFilter
from kern.db.runs import lifecycle
from kern.db.turns.attempts import Execution, Settled
from kern.errors import (
    AlreadyResolved,
    ArgumentsChanged,
    InvalidDecision,
    NotAllowed,
    NotFound,
)
from kern.requirements import DecisionDraft, Requirement, UserInputField, submitted_digest
from kern.tools import Approval
from kern.values.states import (
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)
from tests.support.stored_runs import ARGUMENTS, NOW, Stored, after, at_once, question

AMOUNT = UserInputField(name="amount", type="number", json_schema={"type": "number"})
KINDS = [
    RequirementKind.confirmation,
    RequirementKind.user_input,
    RequirementKind.user_feedback,
    RequirementKind.external_execution,
    RequirementKind.unknown_outcome,
]
GIVEN: dict[Verdict, dict[str, Any]] = {
    Verdict.answer: {"values": {"amount": 3}},
    Verdict.choose: {"choices": ("a",)},
    Verdict.result: {"result": {"paid": 1}},
    Verdict.happened: {"result": "paid"},
}
FITS = {
    RequirementKind.confirmation: {Verdict.approve, Verdict.reject},
    RequirementKind.user_input: {Verdict.answer, Verdict.reject},
    RequirementKind.user_feedback: {Verdict.choose, Verdict.reject},
    RequirementKind.external_execution: {Verdict.result, Verdict.unknown, Verdict.reject},
    RequirementKind.unknown_outcome: {
        Verdict.happened,
        Verdict.run_again,
        Verdict.reject,
        Verdict.fail,
    },
}
TOLD = {
    Verdict.choose: '"a"',
    Verdict.result: '{"paid":1}',
    Verdict.happened: "paid",
}


def waiting(stored: Stored, kind: RequirementKind) -> Requirement:
    if kind is RequirementKind.unknown_outcome:
        return stored.doubtful()
    return stored.gated(kind, fields=[AMOUNT], choices=["a", "b"])


def call_of(seen: Requirement) -> str:
    assert seen.tool_call_id is not None
    return seen.tool_call_id


def effective_arguments(stored: Stored, seen: Requirement) -> dict[str, JsonValue]:
    begun = stored.begin(call_of(seen), "runner")
    assert isinstance(begun, Execution)
    return begun.arguments


def inbox(
    stored: Stored, seen: Requirement, kind: RequirementKind | None = None
) -> list[Requirement]:
    """Return what waits for people in the run of a requirement."""
    page = stored.look(
        lambda tx: inbox_pages.list_inbox(
            tx, OPERATOR, limit=9, only=InboxFilter(run_id=seen.run_id, kind=kind)
        )
    )
    return page.requirements


def untouched(stored: Stored, seen: Requirement) -> None:
    found = stored.requirement(call_of(seen))
    assert found.status is RequirementStatus.pending
    assert found.resolution is None


@pytest.mark.parametrize("kind", RequirementKind)
def test_whatever_waits_for_a_person_is_in_the_one_inbox(
    stored: Stored, kind: RequirementKind
) -> None:
    seen = waiting(stored, kind)
    for only in (None, kind):
        assert [(item.id, item.kind) for item in inbox(stored, seen, only)] == [(seen.id, kind)]
    stored.resolve(seen, Verdict.reject)
    assert inbox(stored, seen) == []


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_takes_the_verdicts_that_fit_it_and_no_other(
    stored: Stored, kind: RequirementKind, verdict: Verdict
) -> None:
    seen = waiting(stored, kind)
    given = GIVEN.get(verdict, {})
    if verdict not in FITS[kind]:
        with pytest.raises(InvalidDecision, match=f"waits for {kind.value}"):
            stored.resolve(seen, verdict, **given)
        untouched(stored, seen)
        return
    accepted = stored.resolve(seen, verdict, note="because", at=after(1), **given)
    assert accepted.delivery is not None
    assert accepted.delivery.kind is DeliveryKind.resolved
    closed = accepted.requirement
    assert closed.status is RequirementStatus.resolved
    assert closed.resolution is not None
    assert (closed.resolution.by, closed.resolution.at) == ("dana", after(1))
    call, run = stored.execution(call_of(seen)), stored.output(seen.run_id)
    match verdict:
        case Verdict.approve | Verdict.run_again:
            assert effective_arguments(stored, seen) == ARGUMENTS
        case Verdict.answer:
            assert effective_arguments(stored, seen) == {**ARGUMENTS, "amount": 3}
        case Verdict.reject:
            assert call.outcome is ToolOutcome.rejected
            assert "because" in str(call.result)
            executed = "was not executed" in str(call.result)
            assert executed is (kind is not RequirementKind.unknown_outcome)
        case Verdict.unknown:
            assert (call.status, call.result) == (ToolCallStatus.unknown, None)
        case Verdict.fail:
            assert run.status is RunStatus.error
        case _:
            assert (call.status, call.result) == (ToolCallStatus.done, TOLD[verdict])
            assert run.metrics.tool_calls == (0 if verdict is Verdict.choose else 1)
    if verdict is not Verdict.fail:
        assert run.status is RunStatus.running
    stored.events(seen.run_id)


@pytest.mark.parametrize("kind", KINDS)
def test_the_second_to_decide_is_told_who_was_first(stored: Stored, kind: RequirementKind) -> None:
    seen = waiting(stored, kind)
    stored.resolve(seen, Verdict.reject, by="dana")
    with pytest.raises(AlreadyResolved, match="'dana' decided 'reject' at 2026-05-04T03:02:01"):
        stored.resolve(seen, Verdict.reject, by="eve")


def test_a_submission_whose_acknowledgement_was_lost_is_accepted_once(stored: Stored) -> None:
    seen = waiting(stored, RequirementKind.confirmation)
    draft = DecisionDraft(verdict=Verdict.approve)
    submission = Submission(seen.id, submitted_digest(seen), draft, "dana")
    before = stored.look(verification.verify).decisions

    first = stored.do(lambda tx: deciding.resolve(tx, submission, OPERATOR, NOW))
    again = stored.do(lambda tx: deciding.resolve(tx, submission, OPERATOR, after(5)))

    assert again == first
    assert stored.look(verification.verify).decisions == before + 1


def test_of_eight_who_decide_at_once_one_wins(stored: Stored) -> None:
    seen = stored.gated()
    verdicts = [Verdict.approve, Verdict.reject] * 4
    found = at_once(
        [lambda n=n, v=v: stored.resolve(seen, v, f"p{n}") for n, v in enumerate(verdicts)]  # type: ignore[misc]
    )
    won = [one for one in found if isinstance(one, Accepted)]
    assert len(won) == 1
    assert sum(isinstance(one, AlreadyResolved) for one in found) == 7
    resolution = won[0].requirement.resolution
    assert resolution is not None
    assert all(resolution.by in str(one) for one in found if isinstance(one, AlreadyResolved))
    rejected = stored.execution(call_of(seen)).outcome is ToolOutcome.rejected
    assert rejected is (resolution.verdict is Verdict.reject)


def test_an_edit_is_validated_and_is_what_runs(stored: Stored) -> None:
    seen = stored.gated()
    for wrong in ({"amount": "much"}, {"currency": "EUR"}, {"order_id": None}):
        with pytest.raises(InvalidDecision, match=r"do not fit its schema.*Nothing was decided"):
            stored.resolve(seen, edit=wrong)
    untouched(stored, seen)
    closed = stored.resolve(seen, edit={"amount": 7}).requirement
    assert closed.resolution is not None
    assert closed.resolution.edit == {"amount": 7}
    assert closed.arguments == ARGUMENTS
    assert effective_arguments(stored, seen) == {**ARGUMENTS, "amount": 7}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "'amount' is missing"),
        ({"amount": 1, "order_id": "x"}, "'order_id' is not asked for"),
        ({"amount": "much"}, "amount: 'much' is not"),
        ({"amount": True}, "amount: True is not"),
        ({"amount": None}, "amount: None is not"),
    ],
)
def test_values_that_do_not_fit_decide_nothing(
    stored: Stored, values: dict[str, JsonValue], why: str
) -> None:
    seen = stored.gated(RequirementKind.user_input, fields=[AMOUNT])
    with pytest.raises(InvalidDecision, match=why):
        stored.resolve(seen, Verdict.answer, values=values)
    untouched(stored, seen)


@pytest.mark.parametrize(
    ("choices", "multiple", "why"),
    [
        (("c",), False, "'c' is none of the choices"),
        ((), False, "exactly one"),
        (("a", "b"), False, "exactly one"),
        ((), True, "at least one"),
        (("a", "b"), True, None),
        (("b",), False, None),
    ],
)
def test_choices_are_among_those_offered(
    stored: Stored, choices: tuple[str, ...], *, multiple: bool, why: str | None
) -> None:
    seen = stored.gated(RequirementKind.user_feedback, choices=["a", "b"], multiple=multiple)
    if why is None:
        stored.resolve(seen, Verdict.choose, choices=choices)
        assert stored.execution(call_of(seen)).status is ToolCallStatus.done
        return
    with pytest.raises(InvalidDecision, match=why):
        stored.resolve(seen, Verdict.choose, choices=choices)


def test_only_candidates_who_are_not_excluded_decide(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates=("dana", "eve"), excluded=("eve",)))
    for who, why in (("eve", "excluded"), ("bob", "candidates are dana, eve"), ("kern", "itself")):
        with pytest.raises(NotAllowed, match=why):
            stored.resolve(seen, by=who)
    stored.resolve(seen, by="dana")


def test_a_quorum_needs_different_people_who_approve_the_same(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    assert stored.resolve(seen, by="a").delivery is None
    with pytest.raises(AlreadyResolved, match=r"'a' has already decided.*2 different people"):
        stored.resolve(seen, by="a")
    assert stored.resolve(seen, by="b", edit={"amount": 1}).delivery is None
    open_ = stored.requirement(call_of(seen))
    assert (open_.status, open_.approvals) == (RequirementStatus.pending, 1)
    assert isinstance(stored.begin(call_of(seen)), Settled)
    assert stored.resolve(seen, by="c", edit={"amount": 1}).delivery is not None
    assert effective_arguments(stored, seen) == {**ARGUMENTS, "amount": 1}


def test_one_rejection_outweighs_a_quorum(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=3))
    stored.resolve(seen, by="a")
    assert stored.resolve(seen, Verdict.reject, by="b").delivery is not None
    assert stored.execution(call_of(seen)).outcome is ToolOutcome.rejected


def test_of_a_quorum_at_once_exactly_one_closes(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=4))
    found = at_once([lambda n=n: stored.resolve(seen, by=f"p{n}") for n in range(8)])  # type: ignore[misc]
    accepted = [one for one in found if isinstance(one, Accepted)]
    assert len(accepted) == 4
    assert sum(one.delivery is not None for one in accepted) == 1


def test_an_object_whose_arguments_were_changed_is_refused(stored: Stored) -> None:
    seen = stored.gated()
    seen.arguments["amount"] = 9000.0
    with pytest.raises(ArgumentsChanged, match="not those that were frozen"):
        stored.resolve(seen)
    untouched(stored, seen)


@pytest.mark.parametrize("edit", [None, {"order_id": "7"}])
@pytest.mark.parametrize("table", ["kern_tool_calls", "kern_requirements"])
def test_a_row_that_was_changed_since_it_was_read_is_refused(
    stored: Stored, table: str, edit: dict[str, JsonValue] | None
) -> None:
    seen = stored.gated()
    changed = '{"amount":9000.0,"order_id":"1042"}'
    key = call_of(seen) if table == "kern_tool_calls" else seen.id
    stored.sql(f"UPDATE {table} SET arguments = :new WHERE id = :id", new=changed, id=key)  # noqa: S608
    with pytest.raises(ArgumentsChanged):
        stored.resolve(seen, edit=edit)
    untouched(stored, seen)


def test_another_user_neither_sees_nor_decides(stored: Stored) -> None:
    seen = stored.gated()
    for viewer in (Viewer("eve"), Viewer(None)):
        with pytest.raises(NotAllowed, match="belongs to another user"):
            stored.resolve(seen, viewer=viewer)
    stored.resolve(seen, viewer=Viewer("ann"))


def test_an_unknown_requirement_is_not_found(stored: Stored) -> None:
    seen = stored.gated().model_copy(update={"id": "nope"})
    with pytest.raises(NotFound, match="'nope'"):
        stored.resolve(seen)


def test_texts_of_decisions_are_cleaned_before_they_are_hashed_and_kept(stored: Stored) -> None:
    bad = "a\x00b\ud800"
    seen = stored.gated(RequirementKind.external_execution)
    stored.resolve(seen, Verdict.result, note=bad, result={bad: [bad]})
    assert stored.execution(call_of(seen)).result == '{"a\ufffdb?":["a\ufffdb?"]}'
    edited = stored.gated()
    closed = stored.resolve(edited, note=bad, edit={"order_id": bad}).requirement
    assert closed.resolution is not None
    assert closed.resolution.note == "a\ufffdb?"
    assert effective_arguments(stored, edited)["order_id"] == "a\ufffdb?"


def test_a_run_that_ended_takes_no_decision(stored: Stored) -> None:
    seen = stored.gated()
    stored.do(lambda tx: lifecycle.cancel(tx, seen.run_id, Viewer("ann"), after(1)))
    with pytest.raises(AlreadyResolved, match="is cancelled and takes no decision"):
        stored.resolve(seen)


@pytest.mark.parametrize("amount", [10**5000, 2**53 + 1], ids=["endless", "odd"])
def test_an_edit_that_the_tool_would_read_as_another_number_is_refused(
    stored: Stored, amount: int
) -> None:
    seen = stored.gated()
    with pytest.raises(InvalidDecision, match="cannot be held exactly"):
        stored.resolve(seen, edit={"amount": amount})
    untouched(stored, seen)
    stored.resolve(seen, edit={"amount": 2**53})
    assert effective_arguments(stored, seen) == {**ARGUMENTS, "amount": 2**53}


@pytest.mark.parametrize("spelling", ["dana ", "Dana", "DANA", "\uff44ana"])
def test_one_person_has_one_voice_however_the_name_is_spelled(
    stored: Stored, spelling: str
) -> None:
    approval = Approval(quorum=2, excluded=("erin",))
    call_id = stored.call(question(approval=approval))
    requirement = stored.requirement(call_id)
    stored.resolve(requirement, by="dana")
    with pytest.raises(AlreadyResolved, match="already decided"):
        stored.resolve(requirement, by=spelling)
    with pytest.raises(NotAllowed, match="excluded"):
        stored.resolve(requirement, by="ERIN ")
    for stranger in ("kern ", "KERN", "\u039aern"):
        with pytest.raises(NotAllowed, match=r"Kern itself|looks like"):
            stored.resolve(requirement, by=stranger)
    assert stored.requirement(call_id).status is RequirementStatus.pending
