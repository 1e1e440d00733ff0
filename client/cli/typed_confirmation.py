"""What a person types before they let a call run: where a single key would be too quick."""

from kern.contracts.typed_values import value_to_type
from kern.requirements import Requirement, RequirementKind, Risk
from kern.values.decisions import TYPED_VERDICTS
from kern.values.states import Verdict

# What lets a call run. Who gives a result, or refuses, types nothing.
_LETS_RUN = frozenset({Verdict.approve, Verdict.answer, Verdict.choose, Verdict.run_again})


def typed_value(item: Requirement, verdict: Verdict) -> str | None:
    """Return what a person types; None where a key is enough.

    It is what the author of the call says; for what may do much harm, or may happen twice, the name
    of the tool.
    """
    if verdict not in _LETS_RUN:
        return None
    is_repeated = item.kind is RequirementKind.unknown_outcome
    by_default = item.tool_name if is_repeated or item.risk is Risk.high else None
    return item.confirm_value or by_default


def drafted_value(item: Requirement, digest: str) -> str | None:
    """Return what is typed for the decision that is filled in, about the call with a digest."""
    draft = item.draft
    if draft is None:
        return None
    value = typed_value(item, draft.verdict)
    if value is None or draft.verdict is not Verdict.approve:
        return value
    return value_to_type(item, draft.edit, digest) or value


def submitted_confirmation(item: Requirement, digest: str | None = None) -> str | None:
    """Return what is submitted once the person has typed what `drafted_value` says."""
    draft = item.draft
    if draft is None or draft.verdict not in TYPED_VERDICTS or item.confirm_value is None:
        return None
    if draft.verdict is not Verdict.approve:
        return item.confirm_value
    return value_to_type(item, draft.edit, digest or draft.digest or item.current_digest)
