"""Calls of which nobody knows whether they happened: asking a person, and answering after all.

The attempt that was thought dead may still report. What it reports answers the question that was
opened about it meanwhile, as a decision of Kern's in the log: nobody has to look it up any more.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.messages import Gate
from kern.db.decisions.opening import open_requirement
from kern.db.decisions.reminders import gate_id_of, gate_of
from kern.db.decisions.requirements import announce_last, close, last_requirement
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun, MutableToolCall
from kern.db.engine.records import ToolCallRecord
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import audit_chain, feed, outbox
from kern.db.journal.audit_chain import NewDecision
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import effective_key
from kern.db.runs import lifecycle
from kern.db.turns import external_reports
from kern.db.turns.outcome_questions import outcome_question
from kern.values.attempts import UnknownAttempt, UnknownReason, has_lease
from kern.values.canonical import clean_text
from kern.values.feed import FeedKind
from kern.values.principals import KERN, principal_of
from kern.values.states import (
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    Verdict,
)

_requirements = REQUIREMENTS.table
_OPEN_QUESTION = _requirements.select().where(
    _requirements.c.tool_call_id == bindparam("tool_call_id"),
    _requirements.c.kind == RequirementKind.unknown_outcome.value,
    _requirements.c.status == RequirementStatus.pending.value,
)
_LONGEST_ERROR, _MOST_EVIDENCE = 500, 10
# Why an attempt is known to have ended.
_ENDED = frozenset({UnknownReason.raised, UnknownReason.reported})


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
    """Open the question what became of a call, with what is known of its attempt.

    If it was asked before, because a run that had failed is retried, what was known then is kept.
    """
    if reason is UnknownReason.timed_out:
        # The attempt asks itself: it executes at this moment.
        call.beat_at = now
    earlier = _earlier_facts(tx, call)
    if earlier is not None:
        evidence = (*earlier.evidence, *evidence)
        is_over = not has_lease(call.leased_until, now)
        if is_over or earlier.reason in _ENDED:
            reason, error = earlier.reason, earlier.error
    facts = UnknownAttempt(
        reason=reason,
        worker=call.worker,
        begun_at=call.begun_at,
        beat_at=call.beat_at,
        idempotency_key=effective_key(call),
        error=None if error is None else _shortened(error),
        evidence=tuple(_shortened(text) for text in evidence[-_MOST_EVIDENCE:]),
    )
    report = external_reports.latest(tx, call)
    if report is not None:
        facts = facts.model_copy(update=report)
    announce_last(tx, run, last_requirement(tx, call.id), FeedKind.unknown, now)
    call.status = ToolCallStatus.unknown.value
    question = replace(outcome_question(tx, run, call, now), attempt=facts)
    row = open_requirement(tx, run, call, question, now)
    lifecycle.update_status(tx, run, now)
    return gate_of(row)


def _shortened(text: str) -> str:
    """Return the beginning of what the user's code said, as it can be kept."""
    return clean_text(text[:_LONGEST_ERROR])


def _earlier_facts(tx: Session, call: ToolCallRecord) -> UnknownAttempt | None:
    """Return what was known of the same attempt when it was asked about before."""
    if call.status != ToolCallStatus.unknown.value:
        return None
    last = last_requirement(tx, call.id)
    if last is None or last.attempt is None:
        return None
    return UnknownAttempt.model_validate(last.attempt)


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

    It locks the end of the tree's chain of decisions, so it comes last in its transaction.
    """
    decision = NewDecision(
        verdict=verdict,
        actor=KERN,
        note=note,
        digest=question.digest,
        given=result,
        principal=principal_of(KERN, question.tenant),
    )
    close(tx, question, RequirementStatus.resolved, decision, now)
    record(
        tx,
        run,
        "requirement_resolved",
        now,
        requirement_id=question.id,
        verdict=verdict.value,
        by=KERN,
    )
    feed.announce(
        tx, question, run.component_id, FeedKind.resolved, now, verdict=verdict.value, by=KERN
    )
    if not RunStatus(run.status).is_final:
        gate_id = gate_id_of(question)
        outbox.enqueue(
            tx, run, DeliveryKind.resolved, now, requirement_id=gate_id, grace=timedelta(0)
        )
    audit_chain.append(tx, question, decision, audit_chain.decisions_of(tx, question.id), now)
