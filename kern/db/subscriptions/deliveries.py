"""Deliveries: made from the feed, claimed, tried, and kept with what came of each.

One transaction makes the deliveries of the next entries and moves on how far the feed was
dispatched, so that none is lost or made twice, whenever a process dies. A courier *claims* those
that are due by moving `next_at` to the end of its lease, as the outbox does; one that dies is
followed by another when the lease is over. So everything is delivered at least once.

A subscription that does not answer never holds up the others: a courier claims few deliveries of
each at a time, and none of those that it is still busy with.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlmodel import Session

from kern.contracts.feed import FeedEntry
from kern.contracts.subscriptions import Delivery, DeliveryStatus, Subscription
from kern.contracts.viewer import Viewer
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.mutable_rows import MutableDelivery
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import DeliveryRecord, SubscriptionRecord
from kern.db.engine.typed_tables import DELIVERIES, SUBSCRIPTIONS
from kern.db.engine.unit_of_work import hold, hold_all
from kern.db.journal import feed
from kern.db.reading.feed_pages import entries_after
from kern.db.reading.visibility import visible_tenant
from kern.db.subscriptions import records
from kern.errors import NotFound
from kern.values.ids import new_id

# How long an attempt may take: then the delivery is due again.
LEASE = timedelta(seconds=90)
_BATCH = 200
# Of one subscription, so many are claimed at once.
_MOST_EACH = 20
_MOST = 200
# After each attempt, how long until the next one: about five days in all.
_BACKOFFS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, *([86_400] * 4))
_LONGEST_ANSWER = 500
_deliveries, _subscriptions = DELIVERIES.table, SUBSCRIPTIONS.table
_BY_ID = _deliveries.select().where(_deliveries.c.id == bindparam("delivery_id"))
_PENDING = _deliveries.c.status == DeliveryStatus.pending.value
_IS_DUE = _PENDING & (_deliveries.c.next_at <= bindparam("now", type_=UtcDateTime))
_MAY_BE_SENT = _subscriptions.c.disabled_at.is_(None) & _subscriptions.c.id.not_in(
    bindparam("busy", expanding=True)
)
_ROUTES = _deliveries.join(_subscriptions, _subscriptions.c.id == _deliveries.c.subscription_id)
_ANY_DUE = select(_deliveries.c.id).select_from(_ROUTES).where(_IS_DUE, _MAY_BE_SENT).limit(1)
_PLACED = (
    select(
        _deliveries.c.id,
        func.row_number()
        .over(
            partition_by=_deliveries.c.subscription_id,
            order_by=(_deliveries.c.next_at, _deliveries.c.seq),
        )
        .label("place"),
    )
    .select_from(_ROUTES)
    .where(_IS_DUE, _MAY_BE_SENT)
    .subquery()
)
_CLAIM = (
    _deliveries.select()
    .where(_deliveries.c.id.in_(select(_PLACED.c.id).where(_PLACED.c.place <= _MOST_EACH)), _IS_DUE)
    .order_by(_deliveries.c.seq)
    .limit(_MOST)
    .with_for_update(skip_locked=True)
)
_DIGEST = (
    select(func.min(_deliveries.c.next_at))
    .where(_PENDING, _deliveries.c.subscription_id == bindparam("subscription_id"))
    .where(_deliveries.c.next_at > bindparam("now", type_=UtcDateTime))
    .where(_deliveries.c.attempts == 0)
)


@dataclass(frozen=True)
class ClaimedDelivery:
    """A delivery that a courier has for the length of a lease, and where it goes."""

    delivery: Delivery
    body: str
    subscription: Subscription
    secrets: records.Secrets


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt.

    Attributes:
        is_delivered: Whether it arrived.
        status: The HTTP status of the answer, if there was one.
        answer: The beginning of the answer, or why there was none.
        is_gone: Whether the subscription is to be disabled: the receiver says that it is gone.
        is_dropped: Whether it is out of date.
    """

    is_delivered: bool
    status: int | None = None
    answer: str = ""
    is_gone: bool = False
    is_dropped: bool = False


def dispatch(
    tx: Session, body_of: Callable[[Subscription, FeedEntry], str], now: datetime
) -> int | None:
    """Make the deliveries of the next entries; return how many entries, None if there are none.

    Another process that dispatches is not waited for.
    """
    head = feed.hold_dispatched(tx)
    if head is None:
        return None
    entries = entries_after(tx, head.seq, _BATCH)
    if not entries:
        return None
    for row in records.active(tx):
        subscription = records.subscription_of(row)
        matching = [
            entry for entry in entries if entry.seq > row.since_seq and subscription.includes(entry)
        ]
        _make(tx, subscription, matching, body_of=body_of, now=now)
    head.seq = entries[-1].seq
    return len(entries)


def is_any_due(tx: Session, busy: Collection[str], now: datetime) -> bool:
    """Whether `claim` would find anything, without taking a lock."""
    return execute(tx, _ANY_DUE, busy=sorted(busy), now=now).first() is not None


def claim(tx: Session, busy: Collection[str], now: datetime) -> list[ClaimedDelivery]:
    """Take what is due, but for the subscriptions that are busy, and postpone it by the lease."""
    claimed = hold_all(tx, DELIVERIES, _CLAIM, busy=sorted(busy), now=now)
    targets = {row.id: row for row in records.active(tx)}
    result: list[ClaimedDelivery] = []
    for row in claimed:
        row.next_at = now + LEASE
        target = targets.get(row.subscription_id)
        if target is not None:
            result.append(_claimed(row, target, now))
    return result


def record(tx: Session, delivery_id: str, attempt: Attempt, now: datetime) -> Delivery | None:
    """Keep what came of an attempt; None if the delivery is gone, or was settled by another one."""
    row = hold(tx, DELIVERIES, _BY_ID.with_for_update(), delivery_id=delivery_id)
    if row is None or row.status != DeliveryStatus.pending.value:
        return None
    row.attempts, row.tried_at = row.attempts + 1, now
    row.answer_status, row.answer = attempt.status, attempt.answer[:_LONGEST_ANSWER]
    if attempt.is_dropped:
        row.status = DeliveryStatus.dropped.value
    elif attempt.is_delivered:
        row.status, row.delivered_at = DeliveryStatus.delivered.value, now
    elif attempt.is_gone or row.attempts > len(_BACKOFFS):
        row.status = DeliveryStatus.failed.value
    else:
        row.next_at = now + timedelta(seconds=_BACKOFFS[row.attempts - 1])
    if attempt.is_gone:
        _disable(tx, row.subscription_id, now)
    return delivery_of(row)


def list_of(
    tx: Session, viewer: Viewer, subscription_id: str | None, limit: int, status: str | None
) -> list[Delivery]:
    """Return the latest deliveries, of one subscription or of all that the viewer's tenant has."""
    conditions = visible_tenant(viewer, _deliveries)
    if subscription_id is not None:
        conditions.append(_deliveries.c.subscription_id == subscription_id)
    if status is not None:
        conditions.append(_deliveries.c.status == status)
    query = _deliveries.select().where(*conditions)
    query = query.order_by(_deliveries.c.seq.desc(), _deliveries.c.id).limit(limit)
    return [delivery_of(row) for row in rows(tx, DELIVERIES, query)]


def replay(tx: Session, viewer: Viewer, delivery_id: str, now: datetime) -> Delivery:
    """Send a delivery again, under the same id and with the same body.

    Raises:
        NotFound: there is none with this id in the viewer's tenant.
        Conflict: its subscription is disabled.
    """
    row = hold(tx, DELIVERIES, _BY_ID.with_for_update(), delivery_id=delivery_id)
    if row is None or viewer.tenant not in (None, row.tenant):
        message = f"There is no delivery with the id {delivery_id!r}."
        raise NotFound(message)
    records.require_active(tx, row.subscription_id)
    _again(row, now)
    return delivery_of(row)


def replay_since(tx: Session, subscription_id: str, after_seq: int, now: datetime) -> int:
    """Send the deliveries of a subscription again that are about later entries; return how many.

    Raises:
        Conflict: the subscription is disabled.
    """
    records.require_active(tx, subscription_id)
    query = _deliveries.select().where(
        _deliveries.c.subscription_id == subscription_id, _deliveries.c.seq > after_seq
    )
    held = hold_all(tx, DELIVERIES, query.with_for_update())
    for row in held:
        _again(row, now)
    return len(held)


def prune(tx: Session, before: datetime) -> int:
    """Delete the deliveries from before this, unless they are still to be sent; return how many."""
    disabled = select(_subscriptions.c.id).where(_subscriptions.c.disabled_at.is_not(None))
    is_settled = ~_PENDING | _deliveries.c.subscription_id.in_(disabled)
    old = is_settled & (_deliveries.c.created_at < before)
    return execute(tx, _deliveries.delete().where(old)).rowcount


def delivery_of(row: DeliveryRecord) -> Delivery:
    """Return a row as administrators see it."""
    return Delivery(
        id=row.id,
        subscription_id=row.subscription_id,
        seq=row.seq,
        kind=row.kind,
        requirement_id=row.requirement_id,
        run_id=row.run_id,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        next_at=row.next_at,
        tried_at=row.tried_at,
        answer_status=row.answer_status,
        answer=row.answer,
        delivered_at=row.delivered_at,
        created_at=row.created_at,
    )


def _again(row: MutableDelivery, now: datetime) -> None:
    row.status, row.attempts, row.next_at = DeliveryStatus.pending.value, 0, now


def _make(
    tx: Session,
    subscription: Subscription,
    entries: Sequence[FeedEntry],
    *,
    body_of: Callable[[Subscription, FeedEntry], str],
    now: datetime,
) -> None:
    if not entries:
        return
    next_at = _first_attempt(tx, subscription, now)
    new = [
        {
            "id": new_id(),
            "subscription_id": subscription.id,
            "tenant": entry.tenant,
            "seq": entry.seq,
            "kind": entry.kind,
            "requirement_id": entry.requirement_id,
            "run_id": entry.run_id,
            "body": body_of(subscription, entry),
            "status": DeliveryStatus.pending.value,
            "attempts": 0,
            "next_at": next_at,
            "tried_at": None,
            "answer_status": None,
            "answer": None,
            "delivered_at": None,
            "created_at": now,
        }
        for entry in entries
    ]
    tx.connection().execute(DELIVERIES.insertion, new)


def _first_attempt(tx: Session, subscription: Subscription, now: datetime) -> datetime:
    """Return when a new delivery is due: at once, or together with those that are collected."""
    if subscription.digest_seconds is None:
        return now
    collected: datetime | None = execute(
        tx, _DIGEST, subscription_id=subscription.id, now=now
    ).scalar()
    return collected or now + timedelta(seconds=subscription.digest_seconds)


def _claimed(row: DeliveryRecord, target: SubscriptionRecord, now: datetime) -> ClaimedDelivery:
    return ClaimedDelivery(
        delivery_of(row),
        row.body,
        records.subscription_of(target),
        records.secrets_of(target, now),
    )


def _disable(tx: Session, subscription_id: str, now: datetime) -> None:
    query = _subscriptions.select().where(_subscriptions.c.id == bindparam("subscription_id"))
    row = hold(tx, SUBSCRIPTIONS, query.with_for_update(), subscription_id=subscription_id)
    if row is not None:
        records.disable(row, "The receiver answered 410 Gone.", now)
