"""The outbox: what was accepted in a transaction, and has to reach Temporal after it.

A database and Temporal cannot commit together. So the transaction that accepts a run or a decision
also inserts a *delivery*, which is committed with it or not at all. After the commit the same
process delivers it and deletes the row (`confirm`). If it dies before, or Temporal does not answer,
the row stays, and a relay in any worker delivers it later. Three rules make that safe:

- **At least once.** A process may die between delivering and confirming, so everything is
  delivered twice now and then. A workflow's id is the run's, a signal carries a requirement's, and
  either makes the workflow look at the rows, so a repetition changes nothing.
- **A grace period.** The relay leaves a new row alone for `GRACE`, in which the accepting process
  delivers it; without that, each delivery would be made twice. A delivery that its transaction
  leaves to the relay has no grace, and wakes the relay right after the commit.
- **Claims.** `claim_due` moves a row's `next_at` on, with a delay that doubles, before it is
  delivered: other relays leave it alone meanwhile, and one that dies has lost nothing. Rows that
  another relay has locked are skipped, not waited for.

A run that ends deletes its deliveries (`forget`): nothing can come of them any more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import and_, bindparam, or_
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select, update

from kern.contracts.messages import WORKFLOWS
from kern.db.engine.after_commit import mark_due
from kern.db.engine.plain_rows import add_row, execute, new_row
from kern.db.engine.records import OutboxRecord, RunRecord
from kern.db.engine.tables import OutboxRow
from kern.db.engine.typed_tables import OUTBOX
from kern.values.ids import new_id

# How long the relay leaves a new delivery to the process that accepted it.
GRACE = timedelta(seconds=2)
# After so many seconds a delivery is tried again, after its first attempt and the later ones.
_BACKOFFS = (2.0, 4.0, 8.0, 16.0, 30.0)
_outbox = OUTBOX.table
_FORGET = _outbox.delete().where(_outbox.c.run_id == bindparam("of_run"))


class DeliveryKind(StrEnum):
    """What Temporal has to do."""

    start = "start"
    resolved = "resolved"
    cancel = "cancel"
    reopen = "reopen"


# What only a newer version knows, of either kind, is left to its own workers.
_KNOWN_KIND = and_(
    _outbox.c.kind.in_([kind.value for kind in DeliveryKind]),
    _outbox.c.component_kind.in_(sorted(WORKFLOWS)),
)
# Queried all the time, and after each run.
_ANY_DUE = (
    sql_select(_outbox.c.id).where(_outbox.c.next_at <= bindparam("now"), _KNOWN_KIND).limit(1)
)
_CONFIRMED = _outbox.delete().where(_outbox.c.id == bindparam("delivery_id"))


@dataclass(frozen=True)
class Delivery:
    """One message to Temporal; delivering it twice does no harm.

    `is_new`: no relay has claimed it, so a start is delivered without reading the run's progress. A
    run that is further on would only find its stored turns, one by one.
    """

    id: str
    kind: DeliveryKind
    run_id: str
    component_id: str
    component_kind: str
    requirement_id: str | None = None
    is_new: bool = False


def enqueue(
    tx: Session,
    run: RunRecord,
    kind: DeliveryKind,
    now: datetime,
    *,
    requirement_id: str | None = None,
    grace: timedelta = GRACE,
) -> Delivery:
    """Add a delivery, in the transaction that makes it necessary."""
    row = new_row(
        OUTBOX,
        id=new_id(),
        kind=kind.value,
        run_id=run.id,
        component_id=run.component_id,
        component_kind=run.component_kind,
        requirement_id=requirement_id,
        next_at=now + grace,
        created_at=now,
    )
    add_row(tx, OUTBOX, row)
    if not grace:
        mark_due(tx)
    return delivery_of(row)


def forget(tx: Session, run_id: str) -> None:
    """Delete the deliveries of a run that are still open."""
    execute(tx, _FORGET, of_run=run_id)


def is_any_due(tx: Session, now: datetime) -> bool:
    """Whether anything is due, without taking a lock."""
    return execute(tx, _ANY_DUE, now=now).first() is not None


def claim_due(tx: Session, now: datetime, limit: int = 100) -> list[Delivery]:
    """Take what is due, and postpone it so that other relays leave it alone meanwhile.

    What a claim of the very same moment has taken is taken once more: nobody has heard of it.
    """
    next_at = col(OutboxRow.next_at)
    taken_now = [now + timedelta(seconds=seconds) for seconds in _BACKOFFS]
    due = select(OutboxRow).where(or_(next_at <= now, next_at.in_(taken_now)), _KNOWN_KIND)
    query = due.order_by(next_at).limit(limit).with_for_update(skip_locked=True)
    rows = [row for row in tx.exec(query) if row.next_at <= now or row.attempts]
    for row in rows:
        if row.next_at <= now:
            row.attempts += 1
            row.next_at = now + timedelta(seconds=_backoff(row.attempts))
    return [delivery_of(row) for row in rows]


def make_due(tx: Session, now: datetime) -> None:
    """Make all deliveries due, for example when Temporal is back."""
    tx.exec(update(OutboxRow).values(next_at=now))


def confirm(tx: Session, *delivery_ids: str) -> None:
    """Delete deliveries that Temporal has confirmed."""
    for delivery_id in delivery_ids:
        execute(tx, _CONFIRMED, delivery_id=delivery_id)


def find(tx: Session, requirement_id: str) -> Delivery | None:
    """Return the unconfirmed delivery of a requirement."""
    query = select(OutboxRow).where(OutboxRow.requirement_id == requirement_id)
    row = tx.exec(query).first()
    return None if row is None else delivery_of(row)


def deliveries_of(tx: Session, run_id: str) -> list[Delivery]:
    """Return the unconfirmed deliveries of a run."""
    query = select(OutboxRow).where(OutboxRow.run_id == run_id)
    return [delivery_of(row) for row in tx.exec(query)]


def find_of_run(tx: Session, run_id: str, kind: DeliveryKind) -> Delivery | None:
    """Return the unconfirmed delivery of this kind to a run."""
    return next((item for item in deliveries_of(tx, run_id) if item.kind is kind), None)


def _backoff(attempts: int) -> float:
    return _BACKOFFS[min(attempts, len(_BACKOFFS)) - 1]


def delivery_of(row: OutboxRecord) -> Delivery:
    """Return the delivery of a row."""
    return Delivery(
        id=row.id,
        kind=DeliveryKind(row.kind),
        run_id=row.run_id,
        component_id=row.component_id,
        component_kind=row.component_kind,
        requirement_id=row.requirement_id,
        is_new=row.attempts == 0,
    )
