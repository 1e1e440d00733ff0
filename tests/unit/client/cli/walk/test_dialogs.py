"""Each dialog fills in the decision that its key asks for, or leaves the requirement open."""

from collections.abc import Sequence
from typing import Any

import pytest

from kern.client.cli.walk.dialogs import Dialogs
from kern.client.cli.walk.keys import Action
from kern.requirements import (
    Bounds,
    DecisionDraft,
    Requirement,
    RequirementKind,
    Risk,
    UserInputField,
    Verdict,
)
from kern.values.canonical import arguments_digest
from tests.support.walk_samples import ARGUMENTS, ScriptedPerson, edited_refund, requirement


def decided(
    item: Requirement,
    action: Action,
    lines: Sequence[str | None] = (),
    *,
    key: str = "",
    agrees: bool = True,
) -> DecisionDraft | None:
    person = ScriptedPerson(lines, agrees=agrees)
    has_decided = Dialogs(person, item, "dana", lambda: 80).decide(action, key)
    assert has_decided == (item.draft is not None)
    return item.draft


def test_a_harmless_call_takes_one_key() -> None:
    draft = decided(requirement(), "approve")
    assert draft is not None
    assert (draft.verdict, draft.by, draft.digest) == (Verdict.approve, "dana", "7f3ac1d0" * 8)


def test_what_is_approved_is_the_version_under_review() -> None:
    draft = decided(edited_refund(), "approve", ["12500"])
    assert draft is not None
    assert draft.digest == "5c55e5f8" * 8


@pytest.mark.parametrize(
    ("more", "word"), [({"confirm_value": "14250"}, "14250"), ({"risk": Risk.high}, "refund")]
)
def test_a_dangerous_call_is_typed(more: dict[str, Any], word: str) -> None:
    assert decided(requirement(**more), "approve", ["", "a", "y", None]) is None
    assert decided(requirement(**more), "approve", ["1425", word]) is not None


def test_a_rejection_needs_a_note() -> None:
    assert decided(requirement(), "reject", ["", " ", None]) is None
    draft = decided(requirement(), "reject", ["", "Too much"])
    assert draft is not None
    assert (draft.verdict, draft.note) == (Verdict.reject, "Too much")


def test_an_edit_is_approved_once_it_was_compared() -> None:
    item = requirement(bounds={"amount": Bounds(only="down")})
    assert decided(item, "edit", ["12500"], agrees=False) is None
    draft = decided(item, "edit", ["12500"])
    assert draft is not None
    assert draft.edit == {"amount": 12500}
    assert draft.digest


def test_the_edited_amount_is_what_is_typed() -> None:
    item = requirement(confirm_value="14250", bounds={"amount": Bounds(only="down")})
    assert decided(item, "edit", ["12500", "14250", None]) is None
    assert decided(item, "edit", ["12500", "12500"]) is not None


def test_an_edit_back_to_what_was_asked_for_is_an_approval_of_that() -> None:
    item = edited_refund()
    item.bounds = {"amount": Bounds()}
    draft = decided(item, "edit", ["14250", "14250"])
    assert draft is not None
    assert draft.edit is None
    assert draft.digest == arguments_digest("refund", ARGUMENTS)


def test_an_edit_that_changes_nothing_decides_nothing() -> None:
    item = requirement(bounds={"amount": Bounds()})
    assert decided(item, "edit", ["14250"]) is None


def test_values_are_shown_before_they_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    fields = [
        UserInputField(name="floor", type="integer", json_schema={"type": "integer"}),
        UserInputField(name="pin", json_schema={"type": "string", "writeOnly": True}),
    ]
    item = requirement(RequirementKind.user_input, arguments={}, fields=fields)
    draft = decided(item, "answer", ["3", "4711"])
    assert draft is not None
    assert draft.values == {"floor": 3, "pin": "4711"}
    said = capsys.readouterr().out
    assert "refund(floor=3" in said
    assert "4711" not in said


def test_a_key_chooses() -> None:
    item = requirement(RequirementKind.user_feedback, choices=["red", "blue"])
    assert decided(item, "choose", key="3") is None
    draft = decided(item, "choose", key="2")
    assert draft is not None
    assert draft.choices == ("blue",)


def test_several_choices_are_numbers_with_commas() -> None:
    item = requirement(RequirementKind.user_feedback, choices=["a", "b", "c"], multiple=True)
    draft = decided(item, "choose", ["1,4", "3, 1"], key="1")
    assert draft is not None
    assert draft.choices == ("c", "a")


@pytest.mark.parametrize(
    ("kind", "action", "lines", "verdict"),
    [
        (RequirementKind.external_execution, "result", ['{"id": 7}'], Verdict.result),
        (RequirementKind.external_execution, "unknown", ["No answer"], Verdict.unknown),
        (RequirementKind.output_review, "send_back", ["Shorter"], Verdict.run_again),
        (RequirementKind.output_review, "fail", [""], Verdict.fail),
        (RequirementKind.error, "run_again", [], Verdict.run_again),
        (RequirementKind.error, "skip", [""], Verdict.skip),
        (RequirementKind.unknown_outcome, "happened", ["paid", "The bank"], Verdict.happened),
        (RequirementKind.unknown_outcome, "run_again", ["refun", "refund"], Verdict.run_again),
        (RequirementKind.unknown_outcome, "reject", ["", "The bank"], Verdict.reject),
        (RequirementKind.unknown_outcome, "fail", ["Nobody knows"], Verdict.fail),
    ],
)
def test_every_kind_is_decided(
    kind: RequirementKind, action: Action, lines: list[str], verdict: Verdict
) -> None:
    draft = decided(requirement(kind), action, lines)
    assert draft is not None
    assert draft.verdict is verdict


def test_an_output_is_edited_as_text() -> None:
    item = requirement(RequirementKind.output_review, arguments={"output": "Dear\u200b Mia"})
    person = ScriptedPerson(["Dear\\u200b Mia!"])
    assert Dialogs(person, item, "dana", lambda: 80).decide("edit", "e")
    assert item.draft is not None
    assert item.draft.edit == {"output": "Dear\u200b Mia!"}
    assert person.starts == ["Dear\\u200b Mia"]
