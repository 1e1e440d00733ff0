"""Calls of which nobody knows whether they happened: asking a person, and answering after all.

The attempt that was thought dead may still report. What it reports answers the question that was
opened about it meanwhile, as a decision of Kern's in the log: nobody has to look it up any more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.answers import Question
from kern.contracts.approval import Approval
from kern.contracts.messages import Gate
from kern.db.decisions.reminders import gate_of
from kern.db.decisions.requirements import close, requirements_of_call
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun, MutableToolCall
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import ToolCallRecord
from kern.db.engine.typed_tables import REQUIREMENTS, TOOL_CALLS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import audit_chain, outbox
from kern.db.journal.audit_chain import KERN, NewDecision
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import effective_key
from kern.db.runs import lifecycle
from kern.db.runs.frames import StoredFrames, path_within
from kern.db.turns.model_turns import open_requirement
from kern.values.attempts import UnknownAttempt, UnknownReason
from kern.values.states import (
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    Verdict,
)

_calls, _requirements = (TOOL_CALLS.table, REQUIREMENTS.table)
_OF_STEP = (
    _requirements.select()
    .join(_calls, _calls.c.id == _requirements.c.tool_call_id)
    .where(_calls.c.step_id == bindparam("step_id"))
    .order_by(_requirements.c.id)
    .limit(1)
)
_OPEN_QUESTION = _requirements.select().where(
    _requirements.c.tool_call_id == bindparam("tool_call_id"),
    _requirements.c.kind == RequirementKind.unknown_outcome.value,
    _requirements.c.status == RequirementStatus.pending.value,
)
_LONGEST_ERROR, _MOST_EVIDENCE = 500, 10


def ask(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    reason: UnknownReason,
    now: datetime,
    *,
    error: str | None = None,
    evidence: Sequence[str] = (),
) -> Gate:
    """Open the question what became of a call, with what is known of its attempt."""
    if reason is UnknownReason.timed_out:
        # The attempt asks itself: it executes at this moment.
        call.beat_at = now
    facts = UnknownAttempt(
        reason=reason,
        worker=call.worker,
        begun_at=call.begun_at,
        beat_at=call.beat_at,
        idempotency_key=effective_key(call),
        error=None if error is None else error[:_LONGEST_ERROR],
        evidence=tuple(text[:_LONGEST_ERROR] for text in evidence[-_MOST_EVIDENCE:]),
    )
    call.status = ToolCallStatus.unknown.value
    row = open_requirement(tx, run, call, _question(tx, run, call, facts, now), now)
    lifecycle.update_status(tx, run, now)
    return gate_of(row)


def open_question(tx: Session, call: ToolCallRecord) -> MutableRequirement | None:
    """Return the open question about a call, to be changed under the lock of its run."""
    if call.status != ToolCallStatus.unknown.value:
        return None
    return hold(tx, REQUIREMENTS, _OPEN_QUESTION, tool_call_id=call.id)


def answer(
    tx: Session,
    run: MutableRun,
    question: MutableRequirement,
    now: datetime,
    *,
    verdict: Verdict,
    note: str,
    result: str | None = None,
) -> None:
    """Answer the question for a call's outcome by its own attempt, which is alive after all.

    It locks the end of the log, so it comes last in its transaction.
    """
    decision = NewDecision(
        verdict=verdict, actor=KERN, note=note, digest=question.digest, given=result
    )
    close(question, RequirementStatus.resolved, decision, now)
    record(
        tx,
        run,
        "requirement_resolved",
        now,
        requirement_id=question.id,
        verdict=verdict.value,
        by=KERN,
    )
    if not RunStatus(run.status).is_final:
        outbox.enqueue(
            tx, run, DeliveryKind.resolved, now, requirement_id=question.id, grace=timedelta(0)
        )
    audit_chain.append(tx, question, decision, audit_chain.decisions_of(tx, question.id), now)


def _question(
    tx: Session, run: MutableRun, call: ToolCallRecord, facts: UnknownAttempt, now: datetime
) -> Question:
    """Return the question for a call's outcome, to those who may decide about the call."""
    requirement = next(iter(requirements_of_call(tx, call.id)), None)
    if requirement is None and call.step_id is not None:
        requirement = next(rows(tx, REQUIREMENTS, _OF_STEP, step_id=call.step_id), None)
    approval = Approval()
    if requirement is not None:
        approval = Approval(
            candidates=tuple(requirement.candidates), excluded=tuple(requirement.excluded)
        )
    path = _step_path(tx, run, call, now)
    return Question(
        kind=RequirementKind.unknown_outcome, approval=approval, where=path, attempt=facts
    )


def _step_path(tx: Session, run: MutableRun, call: ToolCallRecord, now: datetime) -> list[str]:
    """Return the path of a step: its name alone may not be unique."""
    if call.step_id is None:
        return []
    frames = StoredFrames(tx, run, now)
    return path_within(frames, frames.get(call.step_id))
