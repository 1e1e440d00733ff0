"""Reads who cancelled a run or had it continue, and why."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.reports import RunChange
from kern.db.engine.columns import as_stored
from kern.db.engine.plain_rows import rows
from kern.db.engine.typed_tables import EVENTS

_KINDS = {"run_cancelled": "cancelled", "run_retried": "retried"}
_events = EVENTS.table
_CHANGES = (
    select(*as_stored(_events))
    .where(_events.c.run_id == bindparam("run_id"), _events.c.kind.in_(_KINDS))
    .order_by(_events.c.seq)
)


def changes_of(tx: Session, run_id: str) -> list[RunChange]:
    """Return the changes of one run, the first first."""
    return [
        RunChange.model_validate(
            {
                "kind": _KINDS[event.kind],
                "by": event.data.get("by"),
                "note": event.data.get("note"),
                "at": event.created_at,
            }
        )
        for event in rows(tx, EVENTS, _CHANGES, run_id=run_id)
    ]
