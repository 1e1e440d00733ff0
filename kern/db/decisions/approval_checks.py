"""Checks, right before a call runs, that it is the one that was approved."""

from collections.abc import Sequence

from sqlmodel import Session

from kern.db.engine.records import DecisionRecord, RequirementRecord, ToolCallRecord
from kern.db.journal import audit_chain, votes
from kern.db.reading.run_outputs import effective_arguments
from kern.requirements import Vote
from kern.values.canonical import arguments_digest
from kern.values.principals import KERN
from kern.values.states import RequirementKind, Verdict

_GUARDS = (
    RequirementKind.confirmation.value,
    RequirementKind.user_input.value,
    RequirementKind.output_review.value,
)
_ALLOWING = (Verdict.approve.value, Verdict.answer.value)


def is_as_approved(
    tx: Session, call: ToolCallRecord, requirements: Sequence[RequirementRecord]
) -> bool:
    """Whether a call's arguments are those that were frozen and, if it is gated, approved.

    There are two lines of defence. The digest beside the arguments reveals a change of either. A
    row that was forged together with its digests is revealed by the log of decisions, which holds
    the digest that people approved. A gated call whose requirement is missing, or has become
    another kind, does not run.

    `requirements` are those about the call.
    """
    if arguments_digest(call.name, call.arguments) != call.digest:
        return False
    guard = next((row for row in requirements if row.kind in _GUARDS), None)
    if guard is None:
        changed = (call.gate, call.approved_arguments, call.approved_digest)
        return changed == (None, None, None)
    digest = arguments_digest(call.name, effective_arguments(call))
    return call.approved_digest == digest and _was_decided(tx, guard, digest)


def approvals_of(
    tx: Session, call: ToolCallRecord, requirements: Sequence[RequirementRecord]
) -> list[Vote]:
    """Return the votes that let a call run with the arguments that it has."""
    guard = next((row for row in requirements if row.kind in _GUARDS), None)
    if guard is None:
        return []
    digest = arguments_digest(call.name, effective_arguments(call))
    return [
        Vote(
            by=decision.actor,
            principal=audit_chain.principal_of_row(decision),
            verdict=Verdict(decision.verdict),
            note=decision.note,
            at=decision.at,
        )
        for decision in _allowing(audit_chain.decisions_of(tx, guard.id), digest)
    ]


def _was_decided(tx: Session, guard: RequirementRecord, digest: str) -> bool:
    decisions = audit_chain.decisions_of(tx, guard.id)
    if not all(audit_chain.is_intact(decision) for decision in decisions):
        return False
    allowing = _allowing(decisions, digest)
    by_silence = any(decision.actor == KERN for decision in allowing)
    return by_silence or (bool(allowing) and len(allowing) >= guard.quorum)


def _allowing(decisions: Sequence[DecisionRecord], digest: str) -> list[DecisionRecord]:
    """Return the decisions that count for what has this digest, the deadline's if that closed it.

    Whoever withdraws after the deadline has the last word.
    """
    counting = votes.standing(decisions)
    if decisions and decisions[-1].actor == KERN:
        counting.append(decisions[-1])
    return [vote for vote in counting if vote.verdict in _ALLOWING and vote.digest == digest]
