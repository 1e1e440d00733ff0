"""Requirements: decisions are filled in on the object, strictly, and nothing is sent by that."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from kern.errors import AlreadyResolved, InvalidDecision
from kern.requirements import (
    DecisionDraft,
    Requirement,
    Resolution,
    submitted_digest,
)
from kern.values.decisions import METHODS
from kern.values.states import RequirementKind, RequirementStatus, Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FILLING: dict[str, tuple[RequirementKind, Callable[[Requirement], Requirement]]] = {
    "confirm": (RequirementKind.confirmation, lambda r: r.confirm()),
    "edit": (RequirementKind.confirmation, lambda r: r.edit({"a": 2})),
    "provide_user_input": (RequirementKind.user_input, lambda r: r.provide_user_input({"a": 2})),
    "provide_user_feedback": (
        RequirementKind.user_feedback,
        lambda r: r.provide_user_feedback("a"),
    ),
    "set_external_execution_result": (
        RequirementKind.external_execution,
        lambda r: r.set_external_execution_result(1),
    ),
    "mark_happened": (RequirementKind.unknown_outcome, lambda r: r.mark_happened(1)),
    "run_again": (RequirementKind.unknown_outcome, lambda r: r.run_again()),
    "fail": (RequirementKind.unknown_outcome, lambda r: r.fail()),
}
NEEDS = {
    RequirementKind.confirmation: "needs_confirmation",
    RequirementKind.user_input: "needs_user_input",
    RequirementKind.user_feedback: "needs_user_feedback",
    RequirementKind.external_execution: "needs_external_execution",
    RequirementKind.unknown_outcome: "needs_outcome",
}


def requirement(
    kind: RequirementKind = RequirementKind.confirmation, **values: object
) -> Requirement:
    given = {"id": "r1", "run_id": "run", "session_id": "s", "kind": kind, "created_at": NOW}
    return Requirement.model_validate({**given, "arguments": {"a": 1}, **values})


def draft(filled: Requirement) -> DecisionDraft:
    assert filled.draft is not None
    return filled.draft


@pytest.mark.parametrize("method", FILLING)
@pytest.mark.parametrize("kind", NEEDS)
def test_a_method_fits_its_own_kind_alone(kind: RequirementKind, method: str) -> None:
    own, act = FILLING[method]
    one = requirement(kind)
    if kind is own:
        assert act(one) is one
        assert one.is_resolved
        return
    with pytest.raises(InvalidDecision, match=rf"waits for {kind}.*{method}\(\).*") as caught:
        act(one)
    assert METHODS[kind] in str(caught.value)
    assert one.draft is None


@pytest.mark.parametrize("kind", NEEDS)
def test_everything_can_be_rejected_and_says_what_it_needs(kind: RequirementKind) -> None:
    one = requirement(kind)
    needed = [name for name in NEEDS.values() if getattr(one, name)]
    assert needed == [NEEDS[kind]]
    assert draft(one.reject("no", by="dana")) == DecisionDraft(
        verdict=Verdict.reject, note="no", by="dana"
    )
    assert not any(getattr(one, name) for name in NEEDS.values())
    assert one.status is RequirementStatus.pending


@pytest.mark.parametrize("status", ["resolved", "expired", "cancelled"])
def test_what_is_closed_takes_no_decision(status: str) -> None:
    done = Resolution(verdict=Verdict.reject, by="dana", note="too much", at=NOW)
    one = requirement(status=status, resolution=done)
    with pytest.raises(AlreadyResolved) as caught:
        one.confirm()
    assert f"already {status}: 'dana' decided 'reject' at 2026-01-02T03:04:05" in str(caught.value)
    assert "(too much)" in str(caught.value)
    assert one.draft is None


def test_confirming_after_an_edit_keeps_the_edit_and_who_made_it() -> None:
    filled = draft(requirement().edit({"a": 2}, note="less", by="dana").confirm())
    assert filled == DecisionDraft(verdict=Verdict.approve, edit={"a": 2}, note="less", by="dana")
    other = draft(requirement().edit({"a": 2}, by="dana").confirm(note="ok", by="eve"))
    assert (other.note, other.by) == ("ok", "eve")


def test_approve_and_confirm_are_one_method_under_two_names() -> None:
    assert draft(requirement().approve("fine", by="dana")) == draft(
        requirement().confirm("fine", by="dana")
    )
    edited = draft(requirement().edit({"a": 2}, by="dana").approve())
    assert (edited.verdict, edited.edit, edited.by) == (Verdict.approve, {"a": 2}, "dana")
    with pytest.raises(InvalidDecision, match=r"so approve\(\) does not fit"):
        requirement(kind=RequirementKind.user_input).approve()


def test_rejecting_after_an_edit_drops_the_edit() -> None:
    one = requirement().edit({"a": 2}).reject()
    assert (draft(one).verdict, draft(one).edit) == (Verdict.reject, None)
    assert draft(one.confirm()).edit is None


def test_the_last_decision_filled_in_is_the_one() -> None:
    one = requirement().confirm(by="dana").reject(by="eve").edit({"a": 1}).edit({"a": 3})
    assert (draft(one).edit, draft(one).by) == ({"a": 3}, None)


def test_one_choice_or_several() -> None:
    one = requirement(RequirementKind.user_feedback)
    assert draft(one.provide_user_feedback("ab")).choices == ("ab",)
    assert draft(one.provide_user_feedback(["a", "b"])).choices == ("a", "b")


@pytest.mark.parametrize(
    "given",
    [
        {"verdict": "approve"},
        {"verdict": True},
        {"verdict": Verdict.approve, "by": 7},
        {"verdict": Verdict.approve, "edit": "yes"},
        {"verdict": Verdict.choose, "choices": ["a"]},
        {"verdict": Verdict.choose, "choices": (1,)},
        {"verdict": Verdict.approve, "approved": True},
        {"verdict": Verdict.result, "result": object()},
        {},
    ],
)
def test_a_draft_takes_nothing_for_something_else(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DecisionDraft.model_validate(given)


@pytest.mark.parametrize("text", ['"yes"', "true", "1", '"APPROVE"', '"approved"', "null"])
def test_a_verdict_in_json_is_one_of_the_words(text: str) -> None:
    with pytest.raises(ValidationError):
        DecisionDraft.model_validate_json(f'{{"verdict": {text}}}')
    assert DecisionDraft.model_validate_json('{"verdict": "approve"}').verdict is Verdict.approve


def test_changing_the_arguments_changes_what_is_submitted() -> None:
    one = requirement(tool_name="refund")
    before = submitted_digest(one)
    one.edit({"a": 2})
    assert submitted_digest(one) == before
    one.arguments["a"] = 2
    assert submitted_digest(one) != before
    other = requirement(tool_name="charge")
    assert submitted_digest(other) != before


def test_a_decision_does_not_leave_the_object_with_its_json() -> None:
    one = requirement().confirm(by="dana")
    again = Requirement.model_validate_json(one.model_dump_json())
    assert again.draft is None
    assert "dana" not in one.model_dump_json()


def too_deep() -> list[object]:
    outer: list[object] = []
    for _ in range(3000):
        outer = [outer]
    return outer


@pytest.mark.parametrize(
    ("kind", "fill", "why"),
    [
        ("external_execution", lambda r: r.set_external_execution_result(object()), "its 'result'"),
        ("external_execution", lambda r: r.set_external_execution_result(too_deep()), "depth"),
        ("external_execution", lambda r: r.set_external_execution_result(float("nan")), "JSON"),
        ("unknown_outcome", lambda r: r.mark_happened({"a": [1, {"b": b"x"}]}), "at a.1.b, is not"),
        ("unknown_outcome", lambda r: r.mark_happened({1: 2}), "its 'result', at 1, is not text"),
        ("unknown_outcome", lambda r: r.run_again(note=7), "its 'note' is not text"),
        ("unknown_outcome", lambda r: r.fail(by=["dana"]), "its 'by' is not text"),
        ("user_input", lambda r: r.provide_user_input({"zip": object()}), "its 'values', at zip,"),
        ("user_input", lambda r: r.provide_user_input(None), "takes a dict .* 'NoneType' is none"),
        ("user_feedback", lambda r: r.provide_user_feedback(3), "takes a choice or a list"),
        (
            "user_feedback",
            lambda r: r.provide_user_feedback([3]),
            "its 'choices', at 0, is not text",
        ),
        ("confirmation", lambda r: r.edit({"amount": object()}), "its 'edit', at amount, is not"),
        ("confirmation", lambda r: r.edit("amount"), "takes a dict .* 'str' is none"),
        ("confirmation", lambda r: r.confirm(by=7), "its 'by' is not text"),
        ("confirmation", lambda r: r.reject(note=b"no"), "its 'note' is not text"),
        ("confirmation", lambda r: r.reject(note="n" * 8_001), "'note' is not .* 8,000 characters"),
    ],
)
def test_what_no_decision_can_hold_is_refused_in_one_line(
    kind: str, fill: Callable[[Requirement], Requirement], why: str
) -> None:
    one = requirement(RequirementKind(kind))
    with pytest.raises(InvalidDecision, match=why) as caught:
        fill(one)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 200
    assert "pydantic" not in said
    assert caught.value.__cause__ is None
    assert one.draft is None
