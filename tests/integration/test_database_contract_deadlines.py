"""The database contract: deadlines and the outbox, on every database."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted
from kern.db.journal import outbox, verification
from kern.db.journal.outbox import Delivery
from kern.db.turns.attempts import Execution
from kern.errors import AlreadyResolved, KernError
from kern.requirements import Requirement
from kern.tools import Approval
from kern.values.states import OnExpiry, RequirementStatus, RunStatus, ToolOutcome, Verdict
from tests.support.stored_runs import NAMES, NOW, Stored, after, at_once, opened

DUE = Approval(due=timedelta(seconds=60))


@pytest.fixture(params=NAMES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(request.param, tmp_path) as database:
        yield database


def expire(stored: Stored, seen: Requirement, seconds: float) -> bool:
    """Expire a requirement; return whether it ended the run."""
    return stored.do(lambda tx: deciding.expire(tx, seen.id, after(seconds))).run_ended


def test_a_deadline_counts_from_the_pause(stored: Stored) -> None:
    seen = stored.gated(approval=DUE)
    assert seen.due_at == after(60)
    early = stored.do(lambda tx: deciding.expire(tx, seen.id, after(59.999)))
    assert early.gate is not None
    assert early.gate.due_at == after(60)
    expire(stored, seen, 60)
    closed = stored.output(seen.run_id).requirements[0]
    assert closed.status is RequirementStatus.expired
    assert closed.resolution is not None
    assert (closed.resolution.by, closed.resolution.verdict) == ("kern", Verdict.reject)
    with pytest.raises(AlreadyResolved, match="already expired: 'kern' decided 'reject'"):
        stored.resolve(seen)
    stored.look(verification.verify)


@pytest.mark.parametrize("on_expiry", list(OnExpiry))
def test_silence_means_what_the_author_wrote(stored: Stored, on_expiry: OnExpiry) -> None:
    seen = stored.gated(approval=Approval(due=timedelta(seconds=60), on_expiry=on_expiry))
    assert seen.tool_call_id is not None
    assert expire(stored, seen, 61) is (on_expiry is OnExpiry.fail)
    assert stored.do(lambda tx: deciding.expire(tx, seen.id, after(62))).gate is None
    match on_expiry:
        case OnExpiry.approve:
            assert isinstance(stored.begin(seen.tool_call_id), Execution)
        case OnExpiry.reject:
            assert stored.execution(seen.tool_call_id).outcome is ToolOutcome.rejected
        case OnExpiry.fail:
            assert stored.output(seen.run_id).status is RunStatus.error
    stored.look(verification.verify)


def test_a_decision_after_the_deadline_stands_while_nobody_expired_it(stored: Stored) -> None:
    seen = stored.gated(approval=DUE)
    stored.resolve(seen, at=after(90))
    expire(stored, seen, 91)
    closed = stored.output(seen.run_id).requirements[0]
    assert closed.status is RequirementStatus.resolved


def test_a_deadline_and_a_decision_at_once_are_one_ending(stored: Stored) -> None:
    for _ in range(5):
        seen = stored.gated(approval=DUE)
        first, _second = at_once(
            [
                lambda seen=seen: isinstance(stored.resolve(seen, at=after(60)), Accepted),  # type: ignore[misc]
                lambda seen=seen: expire(stored, seen, 60),  # type: ignore[misc]
            ]
        )
        closed = stored.output(seen.run_id).requirements[0]
        accepted = first is True
        assert accepted is (closed.status is RequirementStatus.resolved)
        assert accepted or isinstance(first, AlreadyResolved)
        stored.events(seen.run_id)
    stored.look(verification.verify)


def claim(fresh: Stored, seconds: float, limit: int = 100) -> list[Delivery]:
    return fresh.do(lambda tx: outbox.claim_due(tx, after(seconds), limit))


def test_what_was_accepted_is_the_relays_after_its_grace(fresh: Stored) -> None:
    run_id, delivery = fresh.accept()
    assert claim(fresh, 1.9) == []
    assert not fresh.look(lambda tx: outbox.is_any_due(tx, after(1.9)))
    assert fresh.look(lambda tx: outbox.is_any_due(tx, after(2)))
    assert [one.run_id for one in claim(fresh, 2)] == [run_id]
    assert claim(fresh, 3.9) == []
    assert len(claim(fresh, 4)) == 1
    assert claim(fresh, 7.9) == []
    assert delivery is not None
    fresh.do(lambda tx: outbox.confirm(tx, delivery.id))
    assert claim(fresh, 999) == []


def test_the_wait_between_two_tries_has_an_end(fresh: Stored) -> None:
    fresh.accept()
    seconds = 2.0
    for _ in range(12):
        assert len(claim(fresh, seconds)) == 1
        seconds += 30
    fresh.do(lambda tx: outbox.make_due(tx, NOW))
    assert len(claim(fresh, 0)) == 1


def test_two_relays_never_take_the_same_delivery_at_once(fresh: Stored) -> None:
    accepted = {fresh.accept()[0] for _ in range(30)}
    # A claim is known by its moment: no two relays have the same.
    found = at_once([partial(claim, fresh, 10 + n / 1000, limit=10) for n in range(8)])
    taken = [one.run_id for part in found if isinstance(part, list) for one in part]
    assert not [one for one in found if isinstance(one, KernError)]
    assert len(taken) == len(set(taken))
    rest = claim(fresh, 11)
    assert {*taken, *(one.run_id for one in rest)} == accepted
    assert len(taken) + len(rest) == 30


def test_what_a_newer_version_has_left_is_passed_over(fresh: Stored) -> None:
    run_id, delivery = fresh.accept()
    assert delivery is not None
    other, _ = fresh.accept()
    fresh.sql("UPDATE kern_outbox SET kind = 'newer' WHERE run_id = :id", id=other)
    found = fresh.do(lambda tx: outbox.claim_due(tx, after(60), 10))
    assert [one.run_id for one in found] == [run_id]
    fresh.do(lambda tx: outbox.confirm(tx, delivery.id))
    assert not fresh.look(lambda tx: outbox.is_any_due(tx, after(60)))
