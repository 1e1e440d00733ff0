"""What people decided about calls like one: counted by tool, amount and tenant, at flat cost."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.answers import NewCall
from kern.contracts.presentation import Presentation
from kern.contracts.reports import SimilarDecisions
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.reading import similar_decisions as reading
from kern.db.reading.run_outputs import find_requirement
from kern.db.reading.similar_decisions import SIMILAR_DAYS, similar_decisions
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.states import Verdict
from tests.support.stored_runs import NOW, Stored, after, question

LATER = after(1_000)
AMOUNT = Presentation(amount="amount", unit="currency")


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{new_id()}"


def asked(stored: Stored, tenant: str, amount: float, currency: str = "EUR") -> Requirement:
    run_id, _ = stored.accept(tenant=tenant, user_id="ann")
    arguments: dict[str, JsonValue] = {"order_id": "1", "amount": amount, "currency": currency}
    new = NewCall("c1", "refund", arguments, effect="once", question=question(presentation=AMOUNT))
    return stored.requirement(stored.answer(run_id, new).calls[0].tool_call_id)


def decide(
    stored: Stored, item: Requirement, at: float, verdict: Verdict = Verdict.approve
) -> None:
    viewer = Viewer(is_operator=True, tenant=item.tenant)
    stored.resolve(item, verdict, "dana", after(at), viewer)


def similar(
    stored: Stored, item: Requirement, viewer: Viewer = OPERATOR, now: datetime = LATER
) -> SimilarDecisions | None:
    def read(tx: Session) -> SimilarDecisions | None:
        return similar_decisions(tx, viewer, find_requirement(tx, item.id, OPERATOR), now)

    return stored.look(read)


def counts(found: SimilarDecisions | None) -> Sequence[int]:
    return () if found is None else (found.approved, found.edited, found.rejected)


def test_only_calls_of_the_tool_that_move_about_as_much_are_counted(
    stored: Stored, tenant: str
) -> None:
    for at, amount in ((10, 10), (20, 99.99), (60, 50)):
        decide(stored, asked(stored, tenant, amount), at)
    decide(stored, asked(stored, tenant, 12), 40, Verdict.reject)
    decide(stored, asked(stored, tenant, 9), 1)
    decide(stored, asked(stored, tenant, 100), 1)
    decide(stored, asked(stored, tenant, 20, "JPY"), 1)
    decide(stored, asked(stored, f"{tenant}-other", 20), 1)
    asked(stored, tenant, 30)
    item = asked(stored, tenant, 42)
    found = similar(stored, item)
    assert found is not None
    assert counts(found) == (3, 0, 1)
    assert (found.band, found.unit, found.days) == (2, "EUR", SIMILAR_DAYS)
    assert found.median_seconds == 30
    assert not found.is_cut
    # Whoever sees none of them learns nothing of them.
    assert similar(stored, item, Viewer("bob", tenant=tenant)) is None
    assert similar(stored, item, now=NOW + timedelta(days=SIMILAR_DAYS + 1)) is None
    assert similar(stored, asked(stored, tenant, 5_000)) is None


def test_no_more_than_the_latest_are_read(
    stored: Stored, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_COMPARED", 3)
    for at in range(4):
        verdict = Verdict.approve if at else Verdict.reject
        decide(stored, asked(stored, tenant, 10), at + 1, verdict)
    found = similar(stored, asked(stored, tenant, 10))
    assert counts(found) == (3, 0, 0)
    assert found is not None
    assert found.is_cut
