"""Events: what happened in a run, numbered without gaps under the run's lock."""

from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session, select

from kern.db.rows import add_later
from kern.db.tables import EventRow, RunRow


def record(tx: Session, run: RunRow, kind: str, now: datetime, **data: JsonValue) -> None:
    """Append an event to a run whose row this transaction holds."""
    run.last_event += 1
    append(tx, run, kind, now, **data)


def append(tx: Session, run: RunRow, kind: str, now: datetime, **data: JsonValue) -> None:
    """Append the event whose number the run's row has already."""
    add_later(tx, EventRow, run_id=run.id, seq=run.last_event, kind=kind, data=data, created_at=now)


def events_of(tx: Session, run_id: str, after: int = 0) -> list[EventRow]:
    """Return a run's events with a number above `after`, in order."""
    query = select(EventRow).where(EventRow.run_id == run_id, EventRow.seq > after)
    return list(tx.exec(query.order_by(EventRow.seq)))  # type: ignore[arg-type]
