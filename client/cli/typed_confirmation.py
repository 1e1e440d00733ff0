"""What a person types before they let a call run: where a single key would be too quick."""

from pydantic import JsonValue

from kern.requirements import Requirement, RequirementKind, Risk
from kern.values.titles import value_text

# What lets a call run. Who gives a result, or refuses, types nothing.
_LETS_RUN = frozenset({"approve", "edit", "answer", "choose", "run_again"})


def typed_value(item: Requirement, action: str) -> str | None:
    """Return what a person types; None where a key is enough.

    It is what the author of the call says; for what may do much harm, or may happen twice, the name
    of the tool.
    """
    if action not in _LETS_RUN:
        return None
    is_repeated = item.kind is RequirementKind.unknown_outcome
    by_default = item.tool_name if is_repeated or item.risk is Risk.high else None
    return item.confirm_value or by_default


def edited_value(item: Requirement, arguments: dict[str, JsonValue]) -> str | None:
    """Return what is typed of a call as edited: the new value of the argument that is asked for.

    None if it is not clear which argument that is: then it is the value under review.
    """
    if item.confirm_value is None:
        return None
    current = item.current_arguments or item.arguments
    names = [name for name, value in current.items() if value_text(value) == item.confirm_value]
    return value_text(arguments.get(names[0])) if len(names) == 1 else None
