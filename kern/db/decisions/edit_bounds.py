"""Checks, under the lock of a decision, that an edit keeps to the bounds that the author set."""

from collections.abc import Iterator

from kern.contracts.presentation import Presentation
from kern.db.engine.records import RequirementRecord
from kern.errors import InvalidDecision
from kern.requirements import DecisionDraft
from kern.values.bounds import out_of_range, violation
from kern.values.canonical import canonical_json
from kern.values.states import Verdict


def check_bounds(row: RequirementRecord, draft: DecisionDraft) -> None:
    """Check what a decision changes or fills in.

    An edit is compared with what was asked for, whatever others have edited since. What it repeats
    unchanged is no edit.

    Raises:
        InvalidDecision: it is out of bounds; the message names the argument, the bound and the
            value.
    """
    problem = next(_violations(row, draft), None)
    if problem is None:
        return
    message = (
        f"The decision about requirement {row.id!r} ({row.tool_name}) is out of the bounds that "
        f"the author of the call has set: {problem}. Nothing was decided."
    )
    raise InvalidDecision(message)


def _violations(row: RequirementRecord, draft: DecisionDraft) -> Iterator[str]:
    bounds = Presentation.model_validate(row.presentation).edit_bounds
    if bounds is None:
        return
    if draft.verdict is Verdict.approve:
        for name, value in (draft.edit or {}).items():
            before = row.arguments.get(name)
            is_same = name in row.arguments and canonical_json(value) == canonical_json(before)
            problem = None if is_same else violation(bounds, name, value, before)
            if problem is not None:
                yield problem
    if draft.verdict is Verdict.answer:
        for name, value in (draft.values or {}).items():
            problem = out_of_range(bounds[name], name, value) if name in bounds else None
            if problem is not None:
                yield problem
