"""The moment at which Temporal has heard of a decision, kept when its delivery is deleted."""

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.decisions.reminders import requirement_id_of, round_of
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import rows
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.journal import feed, outbox
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.values.feed import FeedKind
from kern.values.states import RequirementStatus

_requirements = REQUIREMENTS.table
# Without the lock of the run: nothing else writes this column of a closed requirement, and one that
# somebody has opened again since is another round.
_DELIVERED = (
    _requirements.update()
    .where(
        _requirements.c.id == bindparam("requirement_id"),
        _requirements.c.reopened == bindparam("round"),
        _requirements.c.status != RequirementStatus.pending.value,
        _requirements.c.delivered_at.is_(None),
    )
    .values(delivered_at=bindparam("at", type_=UtcDateTime))
    .returning(*_requirements.c)
)


def confirm(tx: Session, delivery: Delivery, at: datetime) -> None:
    """Delete a delivery that Temporal has acknowledged, and note when, once or however often.

    The run may have ended meanwhile, and its deliveries with it.
    """
    outbox.confirm(tx, delivery.id)
    gate_id = delivery.requirement_id
    if delivery.kind is DeliveryKind.resolved and gate_id is not None:
        requirement_id, number = requirement_id_of(gate_id), round_of(gate_id)
        values = {"requirement_id": requirement_id, "round": number, "at": at}
        for row in rows(tx, REQUIREMENTS, _DELIVERED, **values):
            feed.announce(tx, row, delivery.component_id, FeedKind.delivered, at)
