"""Checks, right before a call runs, that it is the one that was approved."""

from collections.abc import Sequence

from sqlmodel import Session

from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.journal import votes
from kern.db.journal.audit_chain import KERN, decisions_of, hash_of
from kern.db.reading.run_outputs import effective_arguments
from kern.values.canonical import arguments_digest
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


def _was_decided(tx: Session, guard: RequirementRecord, digest: str) -> bool:
    decisions = decisions_of(tx, guard.id)
    if not decisions or any(decision.hash != hash_of(decision) for decision in decisions):
        return False
    if decisions[-1].actor == KERN:
        # The deadline: whoever withdraws after it has the last word.
        return decisions[-1].verdict in _ALLOWING and decisions[-1].digest == digest
    allowing = [
        vote
        for vote in votes.standing(decisions)
        if vote.verdict in _ALLOWING and vote.digest == digest
    ]
    return len(allowing) >= guard.quorum
