"""The database contract: what people are shown of a call, and the bounds of their edits."""

import pytest
from pydantic import JsonValue

from kern.contracts.presentation import Presentation
from kern.db.decisions import edit_bounds
from kern.errors import InvalidDecision
from kern.requirements import Requirement, UserInputField
from kern.tools import Approval, Bounds
from kern.values.states import RequirementKind, RequirementStatus, Risk, Verdict
from tests.support.stored_runs import Stored

REFUND = Presentation(
    title="Refund {amount} for order {order_id}, {missing}",
    risk=Risk.high,
    consequence="The money leaves the account.",
    confirm="amount",
    edit_bounds={"amount": Bounds(only="down", at_least=1)},
    where_to_look="The bank's list of payments",
    subject="order_id",
    amount="amount",
)


def asked(
    stored: Stored,
    kind: RequirementKind = RequirementKind.confirmation,
    approval: Approval | None = None,
    **options: object,
) -> Requirement:
    return stored.gated(kind, approval, presentation=REFUND, **options)


def test_a_requirement_has_what_the_author_declared(stored: Stored) -> None:
    seen = asked(stored)
    assert seen.title == "Refund 80 for order 1042, ?"
    assert (seen.risk, seen.confirm_value) == (Risk.high, "80")
    assert (seen.subject, seen.amount, seen.unit) == ("1042", "80", None)
    assert seen.consequence == "The money leaves the account."
    assert seen.where_to_look == "The bank's list of payments"
    assert seen.bounds == {"amount": Bounds(only="down", at_least=1)}


def test_without_a_declaration_there_is_nothing_to_show_and_everything_to_edit(
    stored: Stored,
) -> None:
    seen = stored.gated()
    assert (seen.title, seen.risk, seen.confirm_value) == (None, Risk.normal, None)
    assert (seen.subject, seen.amount, seen.unit, seen.bounds) == (None, None, None, None)
    stored.resolve(seen, edit={"amount": 1_000, "order_id": "7"})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"amount": 80.01}, ("amount", "only", "down", "80.0", "80.01")),
        ({"amount": 0}, ("amount", "at_least", "at least 1")),
        ({"order_id": "7"}, ("order_id", "may not be edited", '"7"')),
        ({"amount": 40, "order_id": "7"}, ("order_id",)),
    ],
)
def test_an_edit_out_of_bounds_is_refused_and_nothing_is_stored(
    stored: Stored, edit: dict[str, JsonValue], words: tuple[str, ...]
) -> None:
    seen = asked(stored)
    with pytest.raises(InvalidDecision) as caught:
        stored.resolve(seen, edit=edit)
    for word in words:
        assert word in str(caught.value)
    after = stored.requirement(seen.tool_call_id or "")
    assert after.status is RequirementStatus.pending
    assert stored.events(seen.run_id)[-1] == "run_paused"
    stored.resolve(seen, edit={"amount": 40})


def test_repeating_an_argument_unchanged_is_no_edit_of_it(stored: Stored) -> None:
    seen = asked(stored)
    stored.resolve(seen, edit={"amount": 40, "order_id": "1042"})
    assert stored.requirement(seen.tool_call_id or "").status is RequirementStatus.resolved


def test_an_edit_is_compared_with_what_was_asked_for_and_not_with_the_edit_of_somebody(
    stored: Stored,
) -> None:
    seen = asked(stored, approval=Approval(quorum=2))
    stored.resolve(seen, by="ann", edit={"amount": 40})
    stored.resolve(seen, by="bob", edit={"amount": 60})
    with pytest.raises(InvalidDecision, match="amount may only go down"):
        stored.resolve(seen, by="eli", edit={"amount": 90})


def test_the_bounds_hold_for_whoever_agrees_by_a_digest(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored while nothing was checked is checked when somebody agrees with it."""
    seen = asked(stored, approval=Approval(quorum=2))
    with monkeypatch.context() as unchecked:
        unchecked.setattr(edit_bounds, "violation", lambda *_: None)
        stored.resolve(seen, by="ann", edit={"amount": 90})
    (proposal,) = stored.requirement(seen.tool_call_id or "").proposals
    with pytest.raises(InvalidDecision, match="amount may only go down"):
        stored.resolve(seen, by="bob", digest=proposal.digest)


def test_what_is_filled_in_keeps_to_the_bounds_that_name_it(stored: Stored) -> None:
    fields = [UserInputField(name=name, json_schema={}) for name in ("amount", "order_id")]
    seen = asked(stored, kind=RequirementKind.user_input, fields=fields)
    with pytest.raises(InvalidDecision, match="amount has to be at least 1"):
        stored.resolve(seen, Verdict.answer, values={"amount": 0.5, "order_id": "8"})
    stored.resolve(seen, Verdict.answer, values={"amount": 90, "order_id": "8"})


def test_the_question_for_an_outcome_says_where_to_look_and_takes_no_edit(stored: Stored) -> None:
    seen = asked(stored)
    stored.resolve(seen)
    call_id = seen.tool_call_id or ""
    stored.begin(call_id, "first")
    stored.begin(call_id, "second")
    doubt = stored.requirement(call_id)
    assert doubt.kind is RequirementKind.unknown_outcome
    assert doubt.where_to_look == "The bank's list of payments"
    assert (doubt.title, doubt.risk) == ("Refund 80 for order 1042, ?", Risk.high)
    assert doubt.bounds is None
