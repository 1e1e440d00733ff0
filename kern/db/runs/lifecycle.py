"""The status of runs: deriving it, ending and cancelling runs, under the run's lock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.mutable_rows import MutableRun, MutableToolCall
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.records import RunRecord, ToolCallRecord
from kern.db.engine.typed_tables import MESSAGES, REQUIREMENTS, RUNS, TOOL_CALLS
from kern.db.engine.unit_of_work import hold, hold_all, save
from kern.db.journal import feed, outbox
from kern.db.journal.events import record
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading import run_timing
from kern.db.reading.run_outputs import check
from kern.db.reading.visibility import no_run
from kern.db.runs import child_runs, closing, session_queue, step_waits, unexecuted
from kern.errors import RunEnded
from kern.models.base import Usage
from kern.values.feed import FeedKind
from kern.values.reasons import NO_REASON, Reason
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus, ToolOutcome

# Built once: every write executes them.
_runs, _calls, _requirements = (RUNS.table, TOOL_CALLS.table, REQUIREMENTS.table)
# Only a run's latest turn can have calls that are not done.
# How many wait for a person, and how many for that or for a child that is paused.
_UNFINISHED = (
    select(
        func.count(_calls.c.id).label("calls"),
        func.count(_requirements.c.id).label("gated"),
        func.count(func.coalesce(_requirements.c.id, _runs.c.id)).label("idle"),
    )
    .select_from(
        _calls.outerjoin(
            _requirements,
            (_requirements.c.tool_call_id == _calls.c.id)
            & (_requirements.c.status == RequirementStatus.pending.value),
        ).outerjoin(
            _runs,
            (_runs.c.id == _calls.c.child_run_id) & (_runs.c.status == RunStatus.paused.value),
        )
    )
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.turn == bindparam("turn"),
        _calls.c.status != ToolCallStatus.done.value,
    )
)
_OPEN = _requirements.select().where(
    _requirements.c.run_id == bindparam("run_id"),
    _requirements.c.status == RequirementStatus.pending.value,
)
# Calls that have not begun. One that an attempt has taken never will, once that is no more its.
_NOT_BEGUN = _calls.select().where(
    _calls.c.run_id == bindparam("run_id"),
    (_calls.c.status == ToolCallStatus.waiting.value)
    | ((_calls.c.status == ToolCallStatus.running.value) & _calls.c.begun_at.is_(None)),
)
_CALL = _calls.select().where(_calls.c.id == bindparam("tool_call_id"))


def locking(run_id: ColumnElement[Any]) -> Select[Any]:
    """Return the statement that locks the run with this id, which may be a subquery.

    A subquery must find by what never moves to another run.
    """
    return _runs.select().where(_runs.c.id == run_id).with_for_update()


_LOCKED = locking(bindparam("run_id"))


def lock(tx: Session, run_id: str) -> MutableRun:
    """Lock a run's row: everything in a run changes under this lock.

    Raises:
        NotFound: there is no such run.
    """
    row = hold(tx, RUNS, _LOCKED, run_id=run_id)
    if row is None:
        raise no_run(run_id)
    return row


def hold_call(tx: Session, tool_call_id: str | None) -> MutableToolCall | None:
    """Return a call to be changed, under its run's lock."""
    return hold(tx, TOOL_CALLS, _CALL, tool_call_id=tool_call_id)


def update_status(
    tx: Session, run: MutableRun, now: datetime, *, paused: bool | None = None
) -> None:
    """Derive from its calls and requirements whether a run is paused.

    A run that has ended stays ended. `paused` saves the query where the transaction knows the
    answer: one call that waits for no person is enough for a run to be active.
    """
    run.updated_at, was_paused = now, run.status == RunStatus.paused.value
    if RunStatus(run.status).is_final:
        return
    if paused is None and run.component_kind == "workflow":
        paused = step_waits.awaits_people_only(tx, run.id)
    if paused is None:
        save(tx)
        # An active run that waits for its children is paused by its workflow, which knows more.
        unfinished = execute(tx, _UNFINISHED, run_id=run.id, turn=run.turn).one()
        waiting = unfinished.idle if was_paused else unfinished.gated
        paused = bool(unfinished.calls) and waiting == unfinished.calls
    status = RunStatus.paused if paused else RunStatus.running
    if status.value == run.status:
        return
    event = "run_continued" if was_paused else "run_began"
    record(tx, run, "run_paused" if paused else event, now)
    run_timing.begin(run, now)
    run_timing.count(run, now)
    run.status = status.value
    if paused:
        _start_next_run(tx, run, now)
    elif was_paused:
        _resume_parent(tx, run, now)


def _resume_parent(tx: Session, run: RunRecord, now: datetime) -> None:
    """Make the parent active again if it was paused, since one of its children is active."""
    if run.parent_run_id is None:
        return
    parent = lock(tx, run.parent_run_id)
    if parent.status == RunStatus.paused.value:
        update_status(tx, parent, now, paused=False)


def count(run: MutableRun, usage: Usage) -> None:
    """Count an answer of the model."""
    run.model_calls += 1
    run.input_tokens += usage.input_tokens
    run.output_tokens += usage.output_tokens
    run.cached_tokens += usage.cached_tokens
    run.reasoning_tokens += usage.reasoning_tokens


def complete(tx: Session, run: MutableRun, content: str, now: datetime) -> None:
    """End a run with its answer."""
    run.content = content
    _end(tx, run, RunStatus.completed, now)
    record(tx, run, "run_completed", now)
    feed.announce_run(tx, run, FeedKind.run_completed, now)


def complete_with(tx: Session, run: MutableRun, content: str, now: datetime) -> None:
    """End a run with an answer that its own model did not write, as the last of its messages."""
    add(
        tx,
        MESSAGES,
        run_id=run.id,
        turn=run.turn + 1,
        position=0,
        role="assistant",
        content=content,
        created_at=now,
    )
    complete(tx, run, content, now)


def fail(tx: Session, run: MutableRun, code: str, message: str, now: datetime) -> None:
    """End a run with an error, and close its open requirements and calls."""
    run.error_code, run.error_message = code, message
    descendants = child_runs.hold_open_descendants(tx, run)
    _end(tx, run, RunStatus.error, now)
    _close_open(tx, run, "The run ended with an error", now)
    _cancel_all(tx, descendants, now)
    record(tx, run, "run_failed", now, code=code, message=message)
    feed.announce_run(tx, run, FeedKind.run_failed, now, code=code)
    _resume_parent(tx, run, now)


def end_outside(tx: Session, run_id: str, how: str, now: datetime) -> None:
    """End a run whose workflow was closed by somebody else; a run that has ended stays as it is."""
    run = lock(tx, run_id)
    message = (
        f"The run's workflow was ended from outside Kern ({how}). Nothing of it runs any more."
    )
    if not RunStatus(run.status).is_final:
        fail(tx, run, "ended_outside", message, now)


def cancel(
    tx: Session, run_id: str, viewer: Viewer, now: datetime, reason: Reason = NO_REASON
) -> Delivery | None:
    """Cancel a run: its requirements close, and waiting calls never run. Deliver it afterwards.

    A run that is cancelled stays as it is: the commit may be acknowledged only now. None if its
    workflow has heard of it.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
        RunEnded: it has ended otherwise.
    """
    run = check(tx, viewer, lock(tx, run_id), no_run(run_id), f"Run {run_id!r}")
    if run.status == RunStatus.cancelled.value:
        return outbox.find_of_run(tx, run_id, DeliveryKind.cancel)
    if RunStatus(run.status).is_final:
        message = (
            f"Run {run_id!r} has already ended with the status {run.status!r}: there is nothing to "
            "cancel."
        )
        raise RunEnded(message)
    cancel_now(tx, run, now, reason)
    _resume_parent(tx, run, now)
    return outbox.enqueue(tx, run, DeliveryKind.cancel, now)


def cancel_now(tx: Session, run: MutableRun, now: datetime, reason: Reason = NO_REASON) -> None:
    """End a run and its descendants as cancelled, and close what they waited for."""
    descendants = child_runs.hold_open_descendants(tx, run)
    _cancel_one(tx, run, now, reason)
    _cancel_all(tx, descendants, now)


def cancel_child(tx: Session, run: MutableRun, now: datetime) -> None:
    """Cancel a child of a run that continues without it. It is delivered afterwards."""
    if RunStatus(run.status).is_final:
        return
    cancel_now(tx, run, now)
    outbox.enqueue(tx, run, DeliveryKind.cancel, now, grace=timedelta(0))


def _cancel_all(tx: Session, descendants: Sequence[MutableRun], now: datetime) -> None:
    for descendant in descendants:
        _cancel_one(tx, descendant, now)
        outbox.enqueue(tx, descendant, DeliveryKind.cancel, now, grace=timedelta(0))


def _cancel_one(tx: Session, run: MutableRun, now: datetime, reason: Reason = NO_REASON) -> None:
    _end(tx, run, RunStatus.cancelled, now)
    _close_open(tx, run, "The run was cancelled", now)
    if run.component_kind == "workflow":
        step_waits.cancel_steps(tx, run.id, now)
    record(tx, run, "run_cancelled", now, **reason.facts)
    feed.announce_run(tx, run, FeedKind.run_cancelled, now, **reason.facts)


def _add_tool_message(tx: Session, call: ToolCallRecord, content: str, now: datetime) -> None:
    """Add the message that reports to the model the result of a call."""
    add(
        tx,
        MESSAGES,
        run_id=call.run_id,
        turn=call.turn,
        position=call.position,
        role="tool",
        content=content,
        provider_call_id=call.provider_call_id,
        tool_name=call.name,
        created_at=now,
    )


def finish_call(
    tx: Session, call: MutableToolCall, outcome: ToolOutcome, result: str, now: datetime
) -> None:
    """End a call, and add its result to the messages if the model asked for it."""
    call.status, call.outcome, call.result = ToolCallStatus.done.value, outcome.value, result
    call.finished_at = now
    if call.step_id is None:
        _add_tool_message(tx, call, result, now)


def untake(call: MutableToolCall) -> None:
    """Take a call that has not begun away from its attempt, which does not count."""
    call.status, call.token, call.begun_at = ToolCallStatus.waiting.value, None, None
    call.attempt -= 1
    call.started_at = call.started_at if call.attempt else None


def reopen_call(call: MutableToolCall, report_id: str | None, now: datetime) -> None:
    """Have a call executed once more; with a report, find out about it first.

    The report is that nobody knows whether a call happened that is executed outside Kern. It counts
    like an attempt that is lost, whose token is the id of the report.
    """
    call.status = ToolCallStatus.waiting.value
    if report_id is not None:
        call.status, call.token = ToolCallStatus.unknown.value, report_id
        call.attempt, call.started_at = call.attempt + 1, call.started_at or now


def _end(tx: Session, run: MutableRun, status: RunStatus, now: datetime) -> None:
    run_timing.count(run, now)
    run.status = status.value
    run.finished_at = run.updated_at = now
    run.is_queued, run.outage = False, None
    # A delivery to a run that has ended has no effect.
    outbox.forget(tx, run.id)
    _start_next_run(tx, run, now)


def _start_next_run(tx: Session, run: RunRecord, now: datetime) -> None:
    if run.parent_run_id is None:
        session_queue.start_next_run(tx, run.session_id, run.id, now)


def _close_open(tx: Session, run: MutableRun, reason: str, now: datetime) -> None:
    for requirement in hold_all(tx, REQUIREMENTS, _OPEN, run_id=run.id):
        closing.cancel(tx, run, requirement, now)
    for call in hold_all(tx, TOOL_CALLS, _NOT_BEGUN, run_id=run.id):
        if call.status == ToolCallStatus.running.value:
            untake(call)
        # A child run that executes the call may have begun, and had side effects.
        ending = "ran" if call.child_run_id is None else "ended"
        why = f"{reason} before this call {ending}."
        if call.child_run_id is None and unexecuted.may_have_been_approved(call):
            unexecuted.note(tx, run, call, now, reason=f"run_{run.status}", why=why)
        finish_call(tx, call, ToolOutcome.cancelled, why, now)
