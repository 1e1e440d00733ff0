"""Requirements that close: their claim ends, and cancelled ones say so to whoever watches."""

from datetime import datetime

from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRequirement, MutableRun
from kern.db.journal import feed
from kern.db.journal.events import record
from kern.db.runs import people
from kern.values.feed import FeedKind
from kern.values.states import RequirementStatus


def release(row: MutableRequirement) -> None:
    """End the claim of a requirement, if there is one."""
    row.claimed_by, row.claimed_key, row.claimed_until = None, None, None


def cancel(tx: Session, run: MutableRun, row: MutableRequirement, now: datetime) -> None:
    """Close a requirement about which nobody has to decide any more, under the lock of its run."""
    row.status, row.resolved_at = RequirementStatus.cancelled.value, now
    release(row)
    people.set_status(tx, row.id, RequirementStatus.cancelled)
    record(tx, run, "requirement_cancelled", now, requirement_id=row.id)
    feed.announce(tx, row, run.component_id, FeedKind.cancelled, now)
