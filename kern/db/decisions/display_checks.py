"""Checks, under the lock of a decision, that what a person was shown is what is decided."""

from collections.abc import Sequence

from kern.db.engine.records import DecisionRecord, RequirementRecord, ToolCallRecord
from kern.db.journal import votes
from kern.db.reading.run_outputs import effective_arguments
from kern.errors import ArgumentsChanged
from kern.requirements import DecisionDraft
from kern.values.canonical import arguments_digest
from kern.values.states import Verdict

# As much of a digest as people are shown.
_SHORT = 8
# They let nothing happen, whatever was shown.
_HARMLESS = frozenset(
    {Verdict.reject, Verdict.fail, Verdict.skip, Verdict.withdraw, Verdict.unknown}
)


def check_frozen(row: RequirementRecord, call: ToolCallRecord, digest: str) -> None:
    """Check that the arguments are those that were frozen; `digest` is of those that were read.

    Raises:
        ArgumentsChanged: they are others.
    """
    stored = arguments_digest(row.tool_name or "", row.arguments)
    executed = arguments_digest(call.name, effective_arguments(call))
    if digest == row.digest == stored == executed:
        return
    message = (
        f"The arguments of requirement {row.id!r} ({row.tool_name}) are not those that were "
        "frozen when the run paused. Nothing was decided. Read the requirement again, and use "
        "edit() to change arguments. If they still differ, somebody changed the rows: reject "
        "it, or cancel the run."
    )
    raise ArgumentsChanged(message)


def displayed(
    row: RequirementRecord, draft: DecisionDraft, earlier: Sequence[DecisionRecord]
) -> DecisionDraft:
    """Return the decision about what the person was shown, if its digest says what that was.

    It is the call itself, the call as the decision edits it, or a proposal that still counts:
    whoever approves with its digest agrees with it.

    Raises:
        ArgumentsChanged: the digest is of nothing that could be decided.
    """
    if draft.digest is None or draft.verdict in _HARMLESS:
        return draft
    arguments = votes.proposed_arguments(row, draft.verdict, draft.edit, draft.values)
    digests = [row.digest]
    if arguments is not None:
        digests.append(arguments_digest(row.tool_name or "", arguments))
    if any(digest.startswith(draft.digest) for digest in digests):
        return draft
    open_proposals = votes.proposals(row, earlier)
    if draft.verdict is Verdict.approve and draft.edit is None:
        for proposal in open_proposals:
            if proposal.digest.startswith(draft.digest):
                return draft.model_copy(update={"edit": proposal.edit})
    digests += [proposal.digest for proposal in open_proposals]
    present = ", ".join(dict.fromkeys(digest[:_SHORT] for digest in digests))
    message = (
        f"The digest {draft.digest!r} is not that of requirement {row.id!r}, where {present} is to "
        "be decided: it was edited since you saw it, or you saw another one. Nothing was decided. "
        "Read it again, with `kern pending` or `kern show`, and decide about what you see."
    )
    raise ArgumentsChanged(message)
