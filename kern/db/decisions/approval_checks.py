"""Whether a call that is about to run is the one that was approved."""

from collections.abc import Sequence

from sqlmodel import Session

from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.journal.audit_chain import KERN, decisions_of, hash_of
from kern.db.reading.run_outputs import runs_with
from kern.values.canonical import arguments_digest
from kern.values.states import RequirementKind, Verdict

_GUARDS = (
    RequirementKind.confirmation.value,
    RequirementKind.user_input.value,
    RequirementKind.output_review.value,
)
_ALLOWING = (Verdict.approve.value, Verdict.answer.value)


def is_as_approved(tx: Session, call: ToolCallRecord, asked: Sequence[RequirementRecord]) -> bool:
    """Whether a call's arguments are those that were frozen, and decided if they had to be.

    `asked` are the requirements about the call.

    The digests beside the arguments find a change of one of them. A row that was forged with its
    digests is found by the decisions: their chain holds what was approved. A gated call whose
    requirement is gone, or has become another kind, does not run.
    """
    if arguments_digest(call.name, call.arguments) != call.digest:
        return False
    guard = next((row for row in asked if row.kind in _GUARDS), None)
    if guard is None:
        changed = (call.gate, call.approved_arguments, call.approved_digest)
        return changed == (None, None, None)
    digest = arguments_digest(call.name, runs_with(call))
    return call.approved_digest == digest and _was_decided(tx, guard, digest)


def _was_decided(tx: Session, guard: RequirementRecord, digest: str) -> bool:
    allowing = [
        decision
        for decision in decisions_of(tx, guard.id)
        if decision.verdict in _ALLOWING
        and decision.digest == digest
        and decision.hash == hash_of(decision)
    ]
    by_silence = any(decision.actor == KERN for decision in allowing)
    return by_silence or len(allowing) >= guard.quorum
