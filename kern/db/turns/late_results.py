"""Results that come too late: the outcome of the call was decided meanwhile."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.reports import LateResult
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import ToolCallRecord
from kern.db.engine.typed_tables import EVENTS, REQUIREMENTS
from kern.db.journal.events import record
from kern.values.principals import KERN
from kern.values.states import RequirementKind, RequirementStatus, ToolOutcome

_KIND = "late_result_refused"
_LONGEST = 500

_requirements, _events = REQUIREMENTS.table, EVENTS.table
_DECIDED_BY_PERSON = select(_requirements.c.id).where(
    _requirements.c.tool_call_id == bindparam("tool_call_id"),
    _requirements.c.kind == RequirementKind.unknown_outcome.value,
    _requirements.c.status == RequirementStatus.resolved.value,
    _requirements.c.resolved_by != KERN,
)
_REFUSED = (
    _events.select()
    .where(_events.c.run_id == bindparam("run_id"), _events.c.kind == _KIND)
    .order_by(_events.c.seq)
)


def is_denied(tx: Session, call: ToolCallRecord, outcome: ToolOutcome, result: str) -> bool:
    """Whether a person has decided on another outcome of a call that no other attempt holds."""
    if (call.outcome, call.result) == (outcome.value, result):
        return False
    return execute(tx, _DECIDED_BY_PERSON, tool_call_id=call.id).first() is not None


def refuse(
    tx: Session,
    run: MutableRun,
    call: ToolCallRecord,
    token: str,
    *,
    outcome: ToolOutcome,
    result: str,
    now: datetime,
) -> None:
    """Record the result of an attempt, once, and leave the call as it is."""
    if any(row.data.get("attempt_id") == token for row in execute(tx, _REFUSED, run_id=run.id)):
        return
    record(
        tx,
        run,
        _KIND,
        now,
        tool_call_id=call.id,
        tool=call.name,
        attempt_id=token,
        outcome=outcome.value,
        result=result[:_LONGEST],
    )


def results_of(tx: Session, run_id: str) -> list[LateResult]:
    """Return the late results of a run, in order."""
    return [
        LateResult(
            tool_call_id=row.data["tool_call_id"],
            outcome=row.data.get("outcome", ToolOutcome.result),
            result=row.data["result"],
            at=row.created_at,
        )
        for row in execute(tx, _REFUSED, run_id=run_id)
    ]
