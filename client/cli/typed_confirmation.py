"""What a person types before they let a call run: where a single key would be too quick."""

from collections.abc import Mapping

from pydantic import JsonValue

from kern.requirements import Requirement, RequirementKind, Risk
from kern.values.decisions import TYPED_VERDICTS
from kern.values.states import Verdict
from kern.values.titles import value_after_edit

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


def edited_value(item: Requirement, arguments: Mapping[str, JsonValue]) -> str | None:
    """Return what is typed of a call as edited; None if its author asks for nothing."""
    current = item.current_arguments or item.arguments
    return value_after_edit(item.confirm_value, current, arguments)


def drafted_value(item: Requirement, digest: str) -> str | None:
    """Return what is typed for the decision that is filled in, about the call with a digest."""
    draft = item.draft
    if draft is None:
        return None
    value = typed_value(item, draft.verdict)
    if value is None or draft.verdict is not Verdict.approve:
        return value
    return edited_value(item, _approved_arguments(item, draft.edit, digest)) or value


def submitted_confirmation(item: Requirement) -> str | None:
    """Return what is submitted once the person has typed what `drafted_value` says.

    It is the value under review, also of a call that they have edited: the digest says what runs.
    """
    is_confirmed = item.draft is not None and item.draft.verdict in TYPED_VERDICTS
    return item.confirm_value if is_confirmed else None


def _approved_arguments(
    item: Requirement, edit: dict[str, JsonValue] | None, digest: str
) -> Mapping[str, JsonValue]:
    if edit is not None:
        return {**item.arguments, **edit}
    for proposal in item.proposals:
        if proposal.digest.startswith(digest):
            return proposal.arguments
    is_original = item.digest.startswith(digest)
    return item.arguments if is_original else item.current_arguments or item.arguments
