"""What people were asked about a call."""

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.messages import Gate
from kern.db.decisions.reminders import gate_of
from kern.db.engine.mutable_rows import MutableRequirement
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import RequirementRecord
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.engine.unit_of_work import hold_all
from kern.db.journal.audit_chain import Decided
from kern.values.states import RequirementStatus

_requirements = REQUIREMENTS.table
_ABOUT = (
    _requirements.select()
    .where(_requirements.c.tool_call_id == bindparam("tool_call_id"))
    .order_by(_requirements.c.id)
)
_PENDING = _ABOUT.where(_requirements.c.status == RequirementStatus.pending.value)


def asked_about(tx: Session, tool_call_id: str) -> list[RequirementRecord]:
    """Return all that was asked about a call, in the order in which it was, only to look at."""
    return list(rows(tx, REQUIREMENTS, _ABOUT, tool_call_id=tool_call_id))


def hold_pending(tx: Session, tool_call_id: str) -> list[MutableRequirement]:
    """Return what nobody has decided of it, to be changed under the lock of its run."""
    return hold_all(tx, REQUIREMENTS, _PENDING, tool_call_id=tool_call_id)


def pending_gate(tx: Session, tool_call_id: str) -> Gate | None:
    """Return what a call waits for, as the workflow knows it."""
    row = next(rows(tx, REQUIREMENTS, _PENDING, tool_call_id=tool_call_id), None)
    return None if row is None else gate_of(row)


def close(
    row: MutableRequirement, status: RequirementStatus, decided: Decided, now: datetime
) -> None:
    """Note how a requirement, which the transaction holds, was closed."""
    row.status, row.verdict = status.value, decided.verdict.value
    row.resolved_by, row.resolved_note, row.resolved_at = decided.actor, decided.note, now
