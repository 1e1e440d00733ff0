"""Approved, and not executed: whoever let a call run learns that nothing was done, and why.

It is right not to execute a call whose tool has another signature by now, or whose run has ended.
But the person who approved it saw their approval accepted and delivered. So the requirement keeps
the reason, an event records it, and the log warns.
"""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.after_commit import mark_warning
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.records import ToolCallRecord
from kern.db.engine.typed_tables import REQUIREMENTS, STEPS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import feed
from kern.db.journal.events import record
from kern.values.feed import FeedKind
from kern.values.states import RequirementStatus, ToolCallStatus, Verdict

_LONGEST = 500
_requirements, _steps = REQUIREMENTS.table, STEPS.table
# The requirement that let a call run: its own, or that of the gate before its step.
_LETTING_RUN = (
    _requirements.select()
    .where(
        _requirements.c.tool_call_id.in_(
            [
                bindparam("tool_call_id"),
                select(_steps.c.gate_id)
                .where(_steps.c.id == bindparam("step_id"))
                .scalar_subquery(),
            ]
        ),
        _requirements.c.status.in_(
            [RequirementStatus.resolved.value, RequirementStatus.expired.value]
        ),
        _requirements.c.verdict.in_(
            [Verdict.approve.value, Verdict.answer.value, Verdict.run_again.value]
        ),
    )
    .order_by(_requirements.c.resolved_at.desc())
    .limit(1)
)


def note(
    tx: Session, run: MutableRun, call: ToolCallRecord, now: datetime, *, reason: str, why: str
) -> None:
    """Note that a call is not executed, if somebody has let it run.

    `reason` is for programs and the log; `why` is for people, and may have values of the call.
    """
    row = hold(tx, REQUIREMENTS, _LETTING_RUN, tool_call_id=call.id, step_id=call.step_id)
    if row is None:
        return
    row.not_executed = why[:_LONGEST]
    record(
        tx,
        run,
        "approved_not_executed",
        now,
        requirement_id=row.id,
        tool_call_id=call.id,
        tool=call.name,
        reason=reason,
        why=row.not_executed,
    )
    feed.announce(tx, row, run.component_id, FeedKind.not_executed, now, reason=reason)
    mark_warning(
        tx,
        "approved_not_executed",
        run_id=run.id,
        session_id=run.session_id,
        requirement_id=row.id,
        tool_call_id=call.id,
        tool=call.name,
        reason=reason,
    )


def may_have_been_approved(call: ToolCallRecord) -> bool:
    """Whether somebody may have let a call run that has not begun: only then is it worth a look."""
    if call.status != ToolCallStatus.waiting.value:
        return False
    return call.gate is not None or call.step_id is not None or call.attempt > 0
