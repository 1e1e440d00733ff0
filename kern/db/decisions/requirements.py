"""The requirements of a call: reading, holding and closing them."""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.messages import Gate
from kern.db.decisions.reminders import gate_of
from kern.db.engine.mutable_rows import MutableRequirement
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import RequirementRecord, RunRecord
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.engine.unit_of_work import hold_all
from kern.db.journal import feed
from kern.db.journal.audit_chain import NewDecision
from kern.db.runs import closing, people
from kern.values.feed import FeedKind
from kern.values.states import RequirementStatus

_requirements = REQUIREMENTS.table
_OF_CALL = (
    _requirements.select()
    .where(_requirements.c.tool_call_id == bindparam("tool_call_id"))
    .order_by(_requirements.c.id)
)
_LAST = _OF_CALL.order_by(None).order_by(_requirements.c.id.desc()).limit(1)
_PENDING = _OF_CALL.where(_requirements.c.status == RequirementStatus.pending.value)

_PENDING_OF_RUN = (
    _requirements.select()
    .where(
        _requirements.c.run_id == bindparam("run_id"),
        _requirements.c.status == RequirementStatus.pending.value,
    )
    .order_by(_requirements.c.id)
)


def requirements_of_call(tx: Session, tool_call_id: str) -> list[RequirementRecord]:
    """Return the requirements about a call, in the order in which they were opened."""
    return list(rows(tx, REQUIREMENTS, _OF_CALL, tool_call_id=tool_call_id))


def last_requirement(tx: Session, tool_call_id: str) -> RequirementRecord | None:
    """Return the requirement about a call that was opened last."""
    return next(rows(tx, REQUIREMENTS, _LAST, tool_call_id=tool_call_id), None)


def hold_pending(tx: Session, tool_call_id: str) -> list[MutableRequirement]:
    """Take the pending requirements of a call, under the lock of its run."""
    return hold_all(tx, REQUIREMENTS, _PENDING, tool_call_id=tool_call_id)


def pending_gate(tx: Session, tool_call_id: str) -> Gate | None:
    """Return the pending requirement of a call, as its workflow knows it."""
    row = next(rows(tx, REQUIREMENTS, _PENDING, tool_call_id=tool_call_id), None)
    return None if row is None else gate_of(row)


def pending_gates(tx: Session, run_id: str) -> dict[str, Gate]:
    """Return the pending requirements of a run, as its workflow knows them, by their calls."""
    pending = rows(tx, REQUIREMENTS, _PENDING_OF_RUN, run_id=run_id)
    gates: dict[str, Gate] = {}
    for row in pending:
        gates.setdefault(row.tool_call_id or "", gate_of(row))
    return gates


def announce_last(
    tx: Session,
    run: RunRecord,
    last: RequirementRecord | None,
    kind: FeedKind,
    now: datetime,
    **data: JsonValue,
) -> None:
    """Add to the feed how a call stands, for whoever was asked about it last, if anybody was."""
    if last is not None:
        feed.announce(tx, last, run.component_id, kind, now, **data)


def close(
    tx: Session,
    row: MutableRequirement,
    status: RequirementStatus,
    decision: NewDecision,
    now: datetime,
) -> None:
    """Store how a requirement was resolved or expired."""
    row.status, row.verdict = status.value, decision.verdict.value
    row.resolved_by, row.resolved_note, row.resolved_at = decision.actor, decision.note, now
    row.delivered_at = None
    closing.release(row)
    people.set_status(tx, row.id, status)
