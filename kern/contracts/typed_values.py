"""What a person types before they let a call run: the value of the version that would run."""

from collections.abc import Mapping

from pydantic import JsonValue

from kern.requirements import Requirement
from kern.values.titles import value_after_edit


def value_to_type(
    item: Requirement, edit: Mapping[str, JsonValue] | None, digest: str | None
) -> str | None:
    """Return what is typed to approve; None where the author of the call asks for nothing.

    Args:
        item: What is approved.
        edit: The arguments that the approval changes.
        digest: The beginning of the digest that the approval names, which says of which version it
            is: the call as it was asked for, or as somebody has edited it.
    """
    current = item.current_arguments or item.arguments
    return value_after_edit(item.confirm_value, current, _approved_arguments(item, edit, digest))


def _approved_arguments(
    item: Requirement, edit: Mapping[str, JsonValue] | None, digest: str | None
) -> Mapping[str, JsonValue]:
    if edit is not None:
        return {**item.arguments, **edit}
    current = item.current_arguments or item.arguments
    if digest is None:
        return current
    versions = [
        (item.digest, item.arguments),
        (item.current_digest, current),
        *((proposal.digest, proposal.arguments) for proposal in item.proposals),
    ]
    return next((values for name, values in versions if name.startswith(digest)), current)
