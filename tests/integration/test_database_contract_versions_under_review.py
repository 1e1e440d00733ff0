"""The database contract: the version under review, look-alikes, and when a decision arrived."""

import pytest
from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.presentation import Presentation
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deliveries
from kern.db.journal.outbox import Delivery, DeliveryKind, deliveries_of
from kern.db.runs import lifecycle
from kern.requirements import Requirement
from kern.tools import Approval
from kern.values.canonical import arguments_digest
from kern.values.states import RequirementKind, Verdict
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import ARGUMENTS, Stored, after, question

TWO = Approval(quorum=3)
LAST_ENTRY = (
    "SELECT data FROM kern_feed WHERE requirement_id = :id AND kind = 'resolved' ORDER BY at DESC"
)
TITLED = Presentation(title="Refund {amount}", confirm="amount", amount="amount")


def again(stored: Stored, seen: Requirement) -> Requirement:
    return stored.requirement(seen.tool_call_id or "")


def version(seen: Requirement) -> tuple[JsonValue, str | None]:
    assert seen.current_digest == arguments_digest("refund", seen.current_arguments)
    return seen.current_arguments["amount"], seen.edited_by


def test_the_latest_edit_that_counts_is_the_version_under_review(stored: Stored) -> None:
    seen = stored.gated(approval=TWO, presentation=TITLED)
    assert version(seen) == (80.0, None)
    assert (seen.current_digest, seen.title) == (seen.digest, "Refund 80")
    stored.resolve(seen, by="ann", edit={"amount": 60})
    assert version(again(stored, seen)) == (60, "ann")
    assert again(stored, seen).title == "Refund 60"
    assert (again(stored, seen).confirm_value, again(stored, seen).amount) == ("60", "60")
    stored.resolve(seen, by="bob", edit={"amount": 50})
    assert version(again(stored, seen)) == (50, "bob")
    assert again(stored, seen).arguments == ARGUMENTS
    # Whoever agrees makes no later edit.
    stored.resolve(seen, by="eli", edit={"amount": 60})
    assert version(again(stored, seen)) == (50, "bob")
    stored.resolve(seen, Verdict.withdraw, by="bob")
    assert version(again(stored, seen)) == (60, "ann")
    for name in ("ann", "eli"):
        stored.resolve(seen, Verdict.withdraw, by=name)
    assert version(again(stored, seen)) == (80.0, None)
    assert again(stored, seen).title == "Refund 80"


def test_who_changes_their_mind_takes_their_edit_back(stored: Stored) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann", edit={"amount": 60})
    stored.resolve(seen, by="ann")
    assert version(again(stored, seen)) == (80.0, None)


@pytest.mark.parametrize("winner", [None, {"amount": 60}])
def test_what_others_proposed_is_nothing_that_was_decided(
    stored: Stored, winner: dict[str, JsonValue] | None
) -> None:
    seen = stored.gated(approval=Approval(quorum=2), presentation=TITLED)
    stored.resolve(seen, by="ann", edit=winner)
    stored.resolve(seen, by="bob", edit={"amount": 50})
    accepted = stored.resolve(seen, by="eli", edit=winner)
    amount = 80 if winner is None else 60
    for item in (accepted.requirement, again(stored, seen)):
        assert item.current_arguments["amount"] == amount
        assert item.edited_by == (None if winner is None else "ann")
        assert (item.title, item.amount) == (f"Refund {amount}", str(amount))
    entry = stored.look(lambda tx: execute_sql(tx, LAST_ENTRY, id=seen.id).scalar_one())
    assert f"Refund {amount}" in str(entry)


def test_an_edit_that_resolves_is_what_was_decided(stored: Stored) -> None:
    seen = stored.gated(presentation=TITLED)
    stored.resolve(seen, by="ann", edit={"amount": 60})
    assert version(again(stored, seen)) == (60, "ann")
    assert again(stored, seen).title == "Refund 60"


def test_look_alikes_have_one_shape_whatever_their_values(stored: Stored) -> None:
    first, second = stored.gated(presentation=TITLED), stored.gated(presentation=TITLED)
    stored.resolve(first, by="ann", edit={"amount": 60})
    shapes = {again(stored, first).shape, second.shape}
    assert len(shapes) == 1
    others = [
        stored.gated(),
        stored.gated(RequirementKind.external_execution, presentation=TITLED),
        stored.gated(presentation=Presentation(title="Pay {amount}")),
    ]
    run_call = stored.call(question(presentation=TITLED), component_id="other")
    shapes |= {item.shape for item in (*others, stored.requirement(run_call))}
    assert len(shapes) == 5


def sent(stored: Stored, seen: Requirement) -> Delivery:
    (delivery,) = [
        item
        for item in stored.look(lambda tx: deliveries_of(tx, seen.run_id))
        if item.kind is DeliveryKind.resolved
    ]
    return delivery


def confirm(stored: Stored, delivery: Delivery, seconds: float) -> None:
    def work(tx: Session) -> None:
        deliveries.confirm(tx, delivery, after(seconds))

    stored.do(work)


def test_a_decision_says_when_temporal_heard_of_it(stored: Stored) -> None:
    seen = stored.gated()
    stored.resolve(seen)
    assert again(stored, seen).delivered_at is None
    delivery = sent(stored, seen)
    confirm(stored, delivery, 5)
    assert again(stored, seen).delivered_at == after(5)
    assert not stored.look(lambda tx: deliveries_of(tx, "no run"))


@pytest.mark.parametrize("is_late", [False, True])
def test_a_requirement_that_is_open_again_was_not_delivered(stored: Stored, is_late: bool) -> None:  # noqa: FBT001
    seen = stored.gated()
    stored.resolve(seen, by="dana")
    first = sent(stored, seen)
    if not is_late:
        confirm(stored, first, 5)
    stored.resolve(seen, Verdict.withdraw, by="dana")
    if is_late:
        confirm(stored, first, 6)
    assert again(stored, seen).delivered_at is None
    stored.resolve(seen, by="eli")
    if is_late:
        confirm(stored, first, 7)
    assert again(stored, seen).delivered_at is None
    confirm(stored, sent(stored, seen), 8)
    assert again(stored, seen).delivered_at == after(8)


def test_a_delivery_whose_run_has_ended_meanwhile_is_noted_too(stored: Stored) -> None:
    seen = stored.gated()
    stored.resolve(seen)
    delivery = sent(stored, seen)
    stored.do(lambda tx: lifecycle.cancel(tx, seen.run_id, OPERATOR, after(1)))
    confirm(stored, delivery, 4)
    assert again(stored, seen).delivered_at == after(4)
