"""The outbox: a delivery is claimed when it is due, again and again until it is confirmed."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, select

from kern.db.engine.tables import OutboxRow, RunRow
from kern.db.journal import outbox
from kern.db.journal.outbox import GRACE, Delivery, DeliveryKind
from kern.values.ids import new_id
from tests.support.stored_runs import NOW, Stored, after
from tests.support.templates import memory_with_tables

LONGEST_WAIT = 30.0


@pytest.fixture
def stored() -> Iterator[Stored]:
    with closing(memory_with_tables()) as memory:
        yield Stored(memory)


def claim(stored: Stored, seconds: float, limit: int = 100) -> list[Delivery]:
    return stored.do(lambda tx: outbox.claim_due(tx, after(seconds), limit))


def is_any_due(stored: Stored, seconds: float) -> bool:
    return stored.look(lambda tx: outbox.is_any_due(tx, after(seconds)))


def enqueue(
    stored: Stored,
    run_id: str,
    kind: DeliveryKind,
    *,
    requirement_id: str | None = None,
    grace: timedelta = GRACE,
) -> Delivery:
    def add(tx: Session) -> Delivery:
        run = tx.get_one(RunRow, run_id)
        return outbox.enqueue(tx, run, kind, NOW, requirement_id=requirement_id, grace=grace)

    return stored.do(add)


@pytest.mark.parametrize("kind", DeliveryKind)
def test_a_delivery_says_what_to_deliver_and_to_whom(stored: Stored, kind: DeliveryKind) -> None:
    run_id, start = stored.accept(kind="team", component_id="support")
    assert start is not None
    stored.do(lambda tx: outbox.confirm(tx, start.id))
    delivery = enqueue(stored, run_id, kind, requirement_id="r1")
    assert (delivery.kind, delivery.run_id, delivery.requirement_id) == (kind, run_id, "r1")
    assert (delivery.component_id, delivery.component_kind) == ("support", "team")
    assert stored.look(lambda tx: outbox.deliveries_of(tx, run_id)) == [delivery]
    assert stored.look(lambda tx: outbox.find(tx, "r1")) == delivery


def test_only_what_no_relay_has_claimed_is_new(stored: Stored) -> None:
    _, delivery = stored.accept()
    assert delivery is not None
    assert delivery.is_new
    (claimed,) = claim(stored, 2)
    assert claimed.id == delivery.id
    assert not claimed.is_new


def test_a_delivery_that_was_rolled_back_is_not_there(stored: Stored) -> None:
    run_id, _ = stored.accept()

    def fail(tx: Session) -> None:
        outbox.enqueue(tx, tx.get_one(RunRow, run_id), DeliveryKind.cancel, NOW)
        raise KeyError

    with pytest.raises(KeyError):
        stored.do(fail)
    kinds = [delivery.kind for delivery in claim(stored, 60)]
    assert kinds == [DeliveryKind.start]


def test_whoever_accepted_has_its_grace(stored: Stored) -> None:
    stored.accept()
    assert not is_any_due(stored, 1.999)
    assert claim(stored, 1.999) == []
    assert is_any_due(stored, 2)
    assert len(claim(stored, 2)) == 1


def test_without_grace_the_relay_is_called_at_the_commit(stored: Stored) -> None:
    run_id, _ = stored.accept()
    calls: list[bool] = []
    with stored.database.when_due(lambda: calls.append(is_any_due(stored, 0))):
        enqueue(stored, run_id, DeliveryKind.resolved)
        assert calls == []
        enqueue(stored, run_id, DeliveryKind.cancel, grace=timedelta(0))
    assert calls == [True]


def test_each_claim_doubles_the_wait_up_to_half_a_minute(stored: Stored) -> None:
    stored.accept()
    now, waits = 2.0, list[float]()
    for wait in (2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0):
        assert len(claim(stored, now)) == 1
        assert claim(stored, now + wait - 0.001) == []
        assert is_any_due(stored, now + wait)
        waits.append(wait)
        now += wait
    assert waits[-1] == LONGEST_WAIT


@settings(max_examples=10)
@given(attempts=st.integers(0, 1000))
def test_the_wait_depends_on_the_number_of_claims_alone(attempts: int) -> None:
    with closing(memory_with_tables()) as memory:
        stored = Stored(memory)
        stored.accept()
        stored.sql("UPDATE kern_outbox SET attempts = :n", n=attempts)
        assert len(claim(stored, 2)) == 1
        next_at = stored.look(lambda tx: tx.exec(select(OutboxRow.next_at)).one())
        assert next_at == after(2 + min(LONGEST_WAIT, 2.0 ** (attempts + 1)))


def test_a_delivery_that_failed_for_a_day_holds_up_no_other(stored: Stored) -> None:
    stored.accept()
    stored.sql("UPDATE kern_outbox SET attempts = 1023")
    stored.accept()
    assert len(claim(stored, 60)) == 2


def test_the_longest_due_are_claimed_first_and_no_more_than_the_limit(stored: Stored) -> None:
    late, later, latest = (stored.accept(at=after(-n))[0] for n in (30, 20, 10))
    assert [delivery.run_id for delivery in claim(stored, 0, limit=2)] == [late, later]
    assert [delivery.run_id for delivery in claim(stored, 1, limit=2)] == [latest]
    assert claim(stored, 1.5, limit=2) == []


def test_a_claim_of_which_nobody_heard_is_made_once_more(stored: Stored) -> None:
    run_id, _ = stored.accept()
    for _time in range(2):
        assert [delivery.run_id for delivery in claim(stored, 3)] == [run_id]
    assert claim(stored, 4) == [], "by another relay"
    row = stored.look(lambda tx: tx.exec(select(OutboxRow)).one())
    assert row.attempts == 1


def test_a_kind_of_a_newer_version_is_left_to_its_own_workers(stored: Stored) -> None:
    ours, _ = stored.accept()
    theirs, _ = stored.accept(at=after(-60))
    stored.sql("UPDATE kern_outbox SET kind = 'newer' WHERE run_id = :id", id=theirs)
    assert [delivery.run_id for delivery in claim(stored, 60, limit=1)] == [ours]
    stored.do(lambda tx: outbox.forget(tx, ours))
    assert not is_any_due(stored, 600)
    assert claim(stored, 600) == []
    row = stored.look(lambda tx: tx.exec(select(OutboxRow)).one())
    assert (row.kind, row.attempts) == ("newer", 0)


def test_what_is_confirmed_is_never_claimed_again(stored: Stored) -> None:
    deliveries = [stored.accept()[1] for _ in range(3)]
    first, second, third = [delivery.id for delivery in deliveries if delivery is not None]
    claim(stored, 2)
    stored.do(lambda tx: outbox.confirm(tx, first, third))
    assert [delivery.id for delivery in claim(stored, 60)] == [second]


def test_what_is_confirmed_twice_or_unknown_changes_nothing(stored: Stored) -> None:
    _, delivery = stored.accept()
    assert delivery is not None
    stored.accept()
    for _ in range(2):
        stored.do(lambda tx: outbox.confirm(tx, delivery.id, new_id()))
    assert len(claim(stored, 60)) == 1


def test_when_temporal_is_back_everything_is_due_at_once(stored: Stored) -> None:
    for _ in range(3):
        stored.accept()
    for seconds in (2, 4, 8, 16, 32):
        claim(stored, seconds)
    assert not is_any_due(stored, 33)
    stored.do(lambda tx: outbox.make_due(tx, after(33)))
    assert len(claim(stored, 33)) == 3


def test_forgetting_a_run_leaves_the_others(stored: Stored) -> None:
    gone, _ = stored.accept()
    enqueue(stored, gone, DeliveryKind.resolved, requirement_id="r1")
    kept, _ = stored.accept()
    stored.do(lambda tx: outbox.forget(tx, gone))
    assert stored.look(lambda tx: outbox.deliveries_of(tx, gone)) == []
    assert stored.look(lambda tx: outbox.find(tx, "r1")) is None
    assert [delivery.run_id for delivery in claim(stored, 60)] == [kept]
