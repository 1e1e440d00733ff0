"""Events: what happened in a run, numbered without gaps under the run's lock."""

from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session, SQLModel, select

from kern.db.tables import EventRow, RunRow

_APPEND = SQLModel.metadata.tables["events"].insert()


def record(tx: Session, run: RunRow, kind: str, now: datetime, **data: JsonValue) -> None:
    """Append an event to a run whose row this transaction holds."""
    run.last_event += 1
    values = {"run_id": run.id, "seq": run.last_event, "kind": kind, "data": data}
    # Events are only ever added: without the unit of work that costs a fifth.
    tx.connection().execute(_APPEND, {**values, "created_at": now})


def events_of(tx: Session, run_id: str, after: int = 0) -> list[EventRow]:
    """Return a run's events with a number above `after`, in order."""
    query = select(EventRow).where(EventRow.run_id == run_id, EventRow.seq > after)
    return list(tx.exec(query.order_by(EventRow.seq)))  # type: ignore[arg-type]
