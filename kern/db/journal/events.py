"""Events of a run, numbered without gaps under the run's lock."""

from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session, select

from kern.db.engine.after_commit import mark_news, mark_stopped
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import add_later
from kern.db.engine.records import EventRecord, RunRecord
from kern.db.engine.tables import EventRow
from kern.db.engine.typed_tables import EVENTS

# A run is idle after each of these.
STOPS = ("run_paused", "run_completed", "run_failed", "run_cancelled")


def record(tx: Session, run: MutableRun, kind: str, now: datetime, **data: JsonValue) -> None:
    """Append an event to a run whose row this transaction holds."""
    run.last_event += 1
    append(tx, run, kind, now, **data)


def append(tx: Session, run: RunRecord, kind: str, now: datetime, **data: JsonValue) -> None:
    """Append an event whose number is already counted in the run's row."""
    add_later(
        tx,
        EVENTS,
        run_id=run.id,
        seq=run.last_event,
        kind=kind,
        requirement_id=data.get("requirement_id"),
        data=data,
        created_at=now,
    )
    _announce(tx, run, run.last_event)
    if kind in STOPS:
        mark_stopped(tx, run.id)


def announce_deletion(tx: Session, run: RunRecord) -> None:
    """Wake the readers of a run that this transaction deletes, so that they find it gone."""
    _announce(tx, run, run.last_event + 1)
    mark_stopped(tx, run.id)


def events_of(tx: Session, run_id: str, after: int = 0) -> list[EventRecord]:
    """Return a run's events with a number above `after`, in order."""
    query = select(EventRow).where(EventRow.run_id == run_id, EventRow.seq > after)
    return list(tx.exec(query.order_by(EventRow.seq)))  # type: ignore[arg-type]


def _announce(tx: Session, run: RunRecord, seq: int) -> None:
    if run.is_streamed:
        mark_news(tx, run.id, seq)
