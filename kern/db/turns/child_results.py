"""Ends a call that a child run executed, by the row of that run and nothing else."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun, MutableToolCall
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RunRecord
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.db.journal import outbox
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import run_row
from kern.db.runs import lifecycle
from kern.db.turns import side_effects
from kern.values.states import RunStatus, ToolOutcome

_calls = TOOL_CALLS.table
_STARTED_CALLS = (
    select(_calls.c.name, _calls.c.outcome)
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.started_at.is_not(None) | _calls.c.child_run_id.is_not(None),
    )
    .order_by(_calls.c.turn, _calls.c.position)
)


class ChildResult(StrEnum):
    """The state of such a call: done, done with the answer of the whole run, or still active."""

    done = "done"
    answered = "answered"
    active = "active"


def finish(tx: Session, run: MutableRun, call: MutableToolCall, now: datetime) -> ChildResult:
    """End a call by its child's end; `run` is the parent, which the transaction holds."""
    child = run_row(tx, call.child_run_id or "")
    if child is not None and not RunStatus(child.status).is_final:
        # Its workflow was lost: start it again, and it continues from the rows.
        outbox.enqueue(tx, child, DeliveryKind.start, now, grace=timedelta(0))
        return ChildResult.active
    outcome, result = outcome_of(tx, child)
    lifecycle.finish_call(tx, call, outcome, result, now)
    run.tool_calls += 1
    record(
        tx,
        run,
        "tool_call_completed",
        now,
        tool_call_id=call.id,
        tool=call.name,
        outcome=outcome.value,
        child_run_id=call.child_run_id,
    )
    if call.is_answer and outcome is ToolOutcome.result:
        lifecycle.complete_with(tx, run, result, now)
        return ChildResult.answered
    lifecycle.update_status(tx, run, now)
    return ChildResult.done


def outcome_of(tx: Session, child: RunRecord | None) -> tuple[ToolOutcome, str]:
    """Return the outcome of a child that has ended, with its side effects if it failed."""
    if child is None:
        return ToolOutcome.cancelled, "The run that was to do this was deleted."
    name = child.path[-1] if child.path else child.component_id
    match RunStatus(child.status):
        case RunStatus.completed:
            return ToolOutcome.result, child.content or ""
        case RunStatus.cancelled:
            reason = f"{name} did not answer: its run was cancelled."
            return ToolOutcome.cancelled, _with_side_effects(tx, child, reason)
        case _:
            reason = f"{name} failed: {child.error_message or child.error_code}"
            return ToolOutcome.error, _with_side_effects(tx, child, reason)


def _with_side_effects(tx: Session, child: RunRecord, reason: str) -> str:
    """Add what a run did that gave no answer: its side effects are not undone by that."""
    effects = [
        side_effects.call_summary(call.name, call.outcome)
        for call in execute(tx, _STARTED_CALLS, run_id=child.id)
    ]
    return f"{reason}\nBefore that it had called: {', '.join(effects)}." if effects else reason
