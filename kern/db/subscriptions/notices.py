"""What a courier asks and keeps beside deliveries: what still waits, and who was reached."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.subscriptions import Delivery, DeliveryStatus, SubscriptionSort
from kern.contracts.viewer import OPERATOR
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import rows
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import feed
from kern.db.journal.events import record
from kern.db.reading.requirement_outputs import requirement_of
from kern.db.runs import lifecycle
from kern.db.runs.people import names_of_requester
from kern.db.subscriptions import deliveries, records
from kern.db.subscriptions.deliveries import Attempt
from kern.requirements import Requirement
from kern.values.states import RequirementStatus

_requirements, _runs = REQUIREMENTS.table, RUNS.table
_REQUIREMENT = _requirements.select().where(_requirements.c.id == bindparam("requirement_id"))
_RUN = _runs.select().where(_runs.c.id == bindparam("run_id"))
_LOCKED_RUN = lifecycle.locking(bindparam("run_id"))


@dataclass(frozen=True)
class Notice:
    """A requirement that waits, and who asked for its run."""

    requirement: Requirement
    requester: str | None


def is_any_undispatched(tx: Session) -> bool:
    """Whether the feed has entries of which no deliveries were made, and somebody is subscribed."""
    return feed.dispatched_of(tx) < feed.head_of(tx)[0] and records.is_any_active(tx)


def still_waiting(tx: Session, about: Sequence[Delivery]) -> dict[str, Notice]:
    """Return, by the ids of deliveries, the requirements that still wait for a decision."""
    waiting: dict[str, Notice] = {}
    for delivery in about:
        row = next(
            rows(tx, REQUIREMENTS, _REQUIREMENT, requirement_id=delivery.requirement_id), None
        )
        if row is None or row.status != RequirementStatus.pending.value:
            continue
        run = next(rows(tx, RUNS, _RUN, run_id=row.run_id), None)
        names = [] if run is None else names_of_requester(run)
        requirement = requirement_of(tx, row, OPERATOR)
        waiting[delivery.id] = Notice(requirement, names[0] if names else None)
    return waiting


def record_all(
    tx: Session, attempts: Mapping[str, Attempt], now: datetime, run_ids: Collection[str] = ()
) -> None:
    """Keep what came of attempts; that people were reached is an event of the runs `run_ids`."""
    # The rows of runs are locked before all others.
    held = [hold(tx, RUNS, _LOCKED_RUN, run_id=run_id) for run_id in sorted(run_ids)]
    runs = {run.id: run for run in held if run is not None}
    for delivery_id, attempt in attempts.items():
        delivery = deliveries.record(tx, delivery_id, attempt, now)
        if delivery is not None and delivery.status is DeliveryStatus.delivered:
            run = runs.get(delivery.run_id)
            if run is not None:
                _record_notice(tx, run, delivery, now)


def _record_notice(tx: Session, run: MutableRun, delivery: Delivery, now: datetime) -> None:
    subscription = records.read(tx, delivery.subscription_id)
    if subscription is None or subscription.sort != SubscriptionSort.channel.value:
        return
    record(
        tx,
        run,
        "requirement_notified",
        now,
        requirement_id=delivery.requirement_id,
        to=subscription.recipient,
        via=subscription.address,
        about=delivery.kind,
    )
