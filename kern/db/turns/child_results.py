"""Ends a call that a run of its own executed, with what that run's row says and nothing else."""

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
_BEGUN = (
    select(_calls.c.name, _calls.c.outcome)
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.started_at.is_not(None) | _calls.c.child_run_id.is_not(None),
    )
    .order_by(_calls.c.turn, _calls.c.position)
)


class Delegated(StrEnum):
    """What became of such a call: it is done, was the answer of the whole, or goes on."""

    done = "done"
    answered = "answered"
    goes_on = "goes_on"


def finish(tx: Session, run: MutableRun, call: MutableToolCall, now: datetime) -> Delegated:
    """End a call by its child's end; `run` is the one that asked for it, and is held."""
    child = run_row(tx, call.child_run_id or "")
    if child is not None and not RunStatus(child.status).is_final:
        # Its workflow was lost: it goes on where its rows stand.
        outbox.enqueue(tx, child, DeliveryKind.start, now, grace=timedelta(0))
        return Delegated.goes_on
    outcome, result = came_to(tx, child)
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
        return Delegated.answered
    lifecycle.update_status(tx, run, now)
    return Delegated.done


def came_to(tx: Session, child: RunRecord | None) -> tuple[ToolOutcome, str]:
    """Say how a run that has ended ended, and what it did until then, for the one above it."""
    if child is None:
        return ToolOutcome.cancelled, "The run that was to do this was deleted."
    who = child.path[-1] if child.path else child.component_id
    match RunStatus(child.status):
        case RunStatus.completed:
            return ToolOutcome.result, child.content or ""
        case RunStatus.cancelled:
            why = f"{who} did not answer: its run was cancelled."
            return ToolOutcome.cancelled, _with_deeds(tx, child, why)
        case _:
            why = f"{who} failed: {child.error_message or child.error_code}"
            return ToolOutcome.error, _with_deeds(tx, child, why)


def _with_deeds(tx: Session, child: RunRecord, why: str) -> str:
    """Add what a run did that gave no answer: what it has done is not undone by that."""
    did = [
        side_effects.told(call.name, call.outcome) for call in execute(tx, _BEGUN, run_id=child.id)
    ]
    return f"{why}\nBefore that it had called: {', '.join(did)}." if did else why
