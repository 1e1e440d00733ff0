"""What happens while nobody decides: reminders, an escalation, and the deadline.

The workflow has one timer for all three. When it fires, an activity looks at the requirement's row,
which says what is due now and when to look again.
"""

from datetime import datetime, timedelta

from sqlmodel import Session

from kern.contracts.messages import Gate
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun
from kern.db.engine.records import RequirementRecord
from kern.db.journal import feed
from kern.db.journal.events import record
from kern.db.runs import people
from kern.values.feed import FeedKind
from kern.values.names import name_key

# Each reminder adds events to the workflow's history, whose size is limited.
_MOST_REMINDERS = 100
_ROUND = "#"


def gate_id_of(row: RequirementRecord) -> str:
    """Return the id under which a workflow waits for a requirement.

    A workflow never waits for an id again of whose resolution it has heard. So a requirement that
    was opened again has another one, and a signal about the earlier resolution, which may come
    late, is not mistaken for news of the next.
    """
    return f"{row.id}{_ROUND}{row.reopened}" if row.reopened else row.id


def requirement_id_of(gate_id: str) -> str:
    """Return the id of the requirement for which a workflow waits under this id."""
    return gate_id.partition(_ROUND)[0]


def round_of(gate_id: str) -> int:
    """Return how often that requirement had been opened again."""
    return int(gate_id.partition(_ROUND)[2] or 0)


def gate_of(row: RequirementRecord) -> Gate:
    """Return what the workflow needs of a requirement: its id, and when to look at it again."""
    moments = [
        moment for moment in (row.remind_at, row.escalate_at, row.due_at) if moment is not None
    ]
    return Gate(requirement_id=gate_id_of(row), due_at=min(moments, default=None))


def look(tx: Session, run: MutableRun, row: MutableRequirement, now: datetime) -> None:
    """Remind and escalate if that is due, once for each due time, however often this is called."""
    if row.escalate_at is not None and now >= row.escalate_at:
        candidate_keys = {name_key(person) for person in row.candidates}
        added = [
            person for person in row.escalate_to or [] if name_key(person) not in candidate_keys
        ]
        row.candidates, row.escalate_at = [*row.candidates, *added], None
        people.escalate(tx, run, row, added, now)
        record(tx, run, "requirement_escalated", now, requirement_id=row.id, to=list(added))
        feed.announce(tx, row, run.component_id, FeedKind.escalated, now, to=list(added))
    if row.remind_at is not None and now >= row.remind_at:
        row.reminders += 1
        row.remind_at = _next_reminder(row, row.remind_at, now)
        record(tx, run, "requirement_reminded", now, requirement_id=row.id, times=row.reminders)
        feed.announce(tx, row, run.component_id, FeedKind.reminded, now, times=row.reminders)


def _next_reminder(row: RequirementRecord, last: datetime, now: datetime) -> datetime | None:
    """Return the next reminder in the row's rhythm; missed ones are skipped."""
    if row.remind_seconds is None or row.reminders >= _MOST_REMINDERS:
        return None
    missed = max(0, (now - last).total_seconds()) // row.remind_seconds
    return last + timedelta(seconds=row.remind_seconds * (missed + 1))
