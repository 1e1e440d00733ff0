"""Withdrawals: a person takes back what they approved, until the call has begun.

The boundary is the row of the call. Whoever begins it holds the lock of its run, as a withdrawal
does: either the call has begun, and the withdrawal is refused, or the requirement is open again,
and whoever wants to begin the call finds it pending. Nothing has to be reported to the workflow: it
executes the call when it hears of the earlier resolution, is given the requirement to wait for, and
waits for it under its new id (`reminders.gate_id_of`).
"""

from collections.abc import Sequence

from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRequirement, MutableToolCall
from kern.db.engine.records import DecisionRecord, RequirementRecord, RunRecord, ToolCallRecord
from kern.db.journal import votes
from kern.db.journal.audit_chain import NewDecision
from kern.db.reading.requirement_outputs import requirement_of
from kern.db.runs import lifecycle, people, step_waits
from kern.errors import AlreadyResolved, CallStarted, InvalidDecision
from kern.requirements import closed_message
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus, Verdict

_DECIDED = frozenset({RequirementStatus.resolved.value, RequirementStatus.expired.value})
# What lets a call run; nothing waits to begin after any other verdict.
_LETTING_RUN = frozenset({Verdict.approve.value, Verdict.answer.value, Verdict.run_again.value})


def check(
    tx: Session,
    run: RunRecord,
    row: RequirementRecord,
    call: ToolCallRecord,
    *,
    decision: NewDecision,
    earlier: Sequence[DecisionRecord],
) -> DecisionRecord:
    """Return the vote that a person withdraws.

    Raises:
        AlreadyResolved: it was closed without letting anything run.
        CallStarted: it is too late; the message says what has begun, and when.
        InvalidDecision: the person has no vote that lets anything happen.
    """
    is_open = row.status == RequirementStatus.pending.value
    is_decided = row.status in _DECIDED and row.verdict in _LETTING_RUN
    if not is_open and not is_decided:
        raise AlreadyResolved(closed_message(requirement_of(tx, row)))
    vote = votes.vote_of(earlier, decision)
    if vote is None or Verdict(vote.verdict) not in votes.PROPOSING:
        waits = f"waits for {row.kind}" if is_open else f"is {row.status}"
        message = (
            f"Requirement {row.id!r} {waits}, and {decision.actor!r} has approved nothing in it "
            "that could be withdrawn."
        )
        raise InvalidDecision(message)
    if is_open:
        return vote
    boundary = _boundary(run, row, call)
    if boundary is not None:
        raise CallStarted(f"{boundary}; it can no longer be withdrawn. Nothing was changed.")
    return vote


def reopen(tx: Session, row: MutableRequirement, call: MutableToolCall) -> None:
    """Open a requirement again whose call has not begun."""
    if _is_only_taken(row, call):
        lifecycle.untake(call)
    if row.verdict == Verdict.run_again.value:
        call.status = ToolCallStatus.unknown.value
    else:
        call.approved_digest, call.approved_arguments = None, None
    row.status, row.reopened = RequirementStatus.pending.value, row.reopened + 1
    row.verdict, row.resolved_by, row.resolved_note, row.resolved_at = None, None, None, None
    people.set_status(tx, row.id, RequirementStatus.pending)
    step_waits.suspend_step(tx, call)


def _boundary(run: RunRecord, row: RequirementRecord, call: ToolCallRecord) -> str | None:
    """Say since when it is too late; None while the call has not begun."""
    name = call.name
    if call.status == ToolCallStatus.done.value:
        ended = "" if call.finished_at is None else f" at {call.finished_at.isoformat()}"
        if call.gate is not None and call.step_id is not None:
            return f"The step {name!r} continued{ended}"
        return f"{name} ended{ended}"
    if RunStatus(run.status).is_final:
        return f"The run ended with the status {run.status!r}"
    if call.status == ToolCallStatus.waiting.value and not _was_taken(row, call):
        return None
    if _is_only_taken(row, call):
        return None
    since = "" if call.started_at is None else f" at {call.started_at.isoformat()}"
    where = "" if call.worker is None else f" in worker {call.worker}"
    return f"{name} began{since}{where} (attempt {call.attempt})"


def _is_only_taken(row: RequirementRecord, call: ToolCallRecord) -> bool:
    """Whether the first attempt at a call has taken it, and has not begun it."""
    is_taken = call.status == ToolCallStatus.running.value and call.begun_at is None
    return is_taken and call.attempt == 1 and row.verdict != Verdict.run_again.value


def _was_taken(row: RequirementRecord, call: ToolCallRecord) -> bool:
    """Whether an attempt has taken a call that waits: it is to be tried again then."""
    if row.verdict == Verdict.run_again.value:
        # The attempt of which nobody knows stays in the row until another one takes the call.
        return call.token is None
    return call.attempt > 0
