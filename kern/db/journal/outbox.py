"""The outbox: what was accepted in a transaction and has to reach Temporal after it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select, update

from kern.db.engine.after_commit import mark_due
from kern.db.engine.plain_rows import add_row, execute, new_row
from kern.db.engine.records import OutboxRecord, RunRecord
from kern.db.engine.tables import OutboxRow
from kern.db.engine.typed_tables import OUTBOX
from kern.values.ids import new_id

# Whoever accepted something delivers it at once; the relay comes after this time.
GRACE = timedelta(seconds=2)
_LONGEST_WAIT = 30.0
_outbox = OUTBOX.table
_FORGET = _outbox.delete().where(_outbox.c.run_id == bindparam("of_run"))


class DeliveryKind(StrEnum):
    """What Temporal has to be told."""

    start = "start"
    resolved = "resolved"
    cancel = "cancel"
    reopen = "reopen"


# What a newer version has left is delivered by its own workers.
_KNOWN_KIND = _outbox.c.kind.in_([kind.value for kind in DeliveryKind])
# Asked every moment, and after each run.
_ANY_DUE = (
    sql_select(_outbox.c.id).where(_outbox.c.next_at <= bindparam("now"), _KNOWN_KIND).limit(1)
)
_CONFIRMED = _outbox.delete().where(_outbox.c.id == bindparam("delivery_id"))


@dataclass(frozen=True)
class Delivery:
    """One thing to tell Temporal; telling it twice does no harm.

    `is_new`: no relay has claimed it, so a start is told without reading where the run stands. Were
    it further on, its stored turns would be returned one by one.
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
    """Add a delivery in the transaction of what it tells."""
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
    return _delivery(row)


def forget(tx: Session, run_id: str) -> None:
    """Deliver nothing of what a run's workflow was to be told before."""
    execute(tx, _FORGET, of_run=run_id)


def is_any_due(tx: Session, now: datetime) -> bool:
    """Whether anything is to be delivered, asked without taking a lock."""
    return execute(tx, _ANY_DUE, now=now).first() is not None


def claim_due(tx: Session, now: datetime, limit: int = 100) -> list[Delivery]:
    """Take what is due, and move it on so that another relay leaves it alone meanwhile."""
    due = select(OutboxRow).where(col(OutboxRow.next_at) <= now, _KNOWN_KIND)
    query = due.order_by(col(OutboxRow.next_at)).limit(limit).with_for_update(skip_locked=True)
    rows = list(tx.exec(query))
    for row in rows:
        row.attempts += 1
        row.next_at = now + timedelta(seconds=min(_LONGEST_WAIT, 2.0**row.attempts))
    return [_delivery(row) for row in rows]


def make_due(tx: Session, now: datetime) -> None:
    """Have everything that waits delivered at the next look, as when Temporal is back."""
    tx.exec(update(OutboxRow).values(next_at=now))


def confirm(tx: Session, *delivery_ids: str) -> None:
    """Forget what Temporal has confirmed."""
    for delivery_id in delivery_ids:
        execute(tx, _CONFIRMED, delivery_id=delivery_id)


def find(tx: Session, requirement_id: str) -> Delivery | None:
    """Return what Temporal has not confirmed of one requirement."""
    query = select(OutboxRow).where(OutboxRow.requirement_id == requirement_id)
    row = tx.exec(query).first()
    return None if row is None else _delivery(row)


def deliveries_of(tx: Session, run_id: str) -> list[Delivery]:
    """Return what Temporal has not confirmed of one run."""
    return [_delivery(row) for row in tx.exec(select(OutboxRow).where(OutboxRow.run_id == run_id))]


def _delivery(row: OutboxRecord) -> Delivery:
    return Delivery(
        id=row.id,
        kind=DeliveryKind(row.kind),
        run_id=row.run_id,
        component_id=row.component_id,
        component_kind=row.component_kind,
        requirement_id=row.requirement_id,
        is_new=row.attempts == 0,
    )
