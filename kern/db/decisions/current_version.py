"""The version of a call that is under review: as asked for, or as somebody has edited it since."""

from collections.abc import Sequence

from kern.contracts.presentation import Presentation
from kern.db.engine.mutable_rows import MutableRequirement
from kern.db.engine.records import DecisionRecord
from kern.db.journal import votes
from kern.values.states import RequirementStatus, Verdict


def update(row: MutableRequirement, decisions: Sequence[DecisionRecord]) -> None:
    """Keep with a requirement the latest edit that still counts, and what people see of it.

    Whoever agrees with an edit does not make it a later one. Once it is approved, it is the version
    that won, with the last of the decisions: what others proposed does not run.
    """
    is_approved = (row.status, row.verdict) == (
        RequirementStatus.resolved.value,
        Verdict.approve.value,
    )
    winning = decisions[-1].digest if is_approved else None
    edits = [
        proposal
        for proposal in votes.proposals(row, decisions)
        if proposal.verdict is Verdict.approve
        and proposal.digest != row.digest
        and winning in (None, proposal.digest)
    ]
    if not edits and row.current_digest is None:
        return
    latest = edits[-1] if edits else None
    row.current_arguments = None if latest is None else latest.arguments
    row.current_digest = None if latest is None else latest.digest
    row.edited_by = None if latest is None else latest.by[0]
    presentation = Presentation.model_validate(row.presentation)
    values = presentation.values_for(row.arguments if latest is None else latest.arguments)
    row.title, row.confirm_value = values.title, values.confirm_value
    row.subject, row.amount, row.unit = values.subject, values.amount, values.unit
    row.amount_band = values.amount_band
