"""What the console shows of a requirement beside it: how its author presents it."""

from collections.abc import Mapping

from pydantic import JsonValue

from kern.client.console.facts import Facts
from kern.requirements import Requirement
from kern.values.bounds import Bounds, number_of


def facts_of(requirement: Requirement) -> Facts:
    """Return how the author of a call presents it, and how far it has come."""
    return Facts(
        title=requirement.title,
        risk=requirement.risk.value,
        consequence=requirement.consequence,
        confirm_value=requirement.confirm_value,
        bounds=_schemas(requirement.bounds, requirement.arguments),
        subject=requirement.subject,
        amount=requirement.amount,
        unit=requirement.unit,
        where_to_look=requirement.where_to_look,
        delivered_at=requirement.delivered_at,
        current_arguments=requirement.current_arguments or None,
        current_digest=requirement.current_digest or None,
        edited_by=requirement.edited_by,
        shape=requirement.shape or None,
    )


def _schemas(
    bounds: Mapping[str, Bounds] | None, arguments: Mapping[str, JsonValue]
) -> dict[str, JsonValue] | None:
    """Return for each argument that may change a JSON Schema of what it may become."""
    if bounds is None:
        return None
    return {name: _schema(limits, arguments.get(name)) for name, limits in bounds.items()}


def _schema(limits: Bounds, original: JsonValue) -> JsonValue:
    schema: dict[str, JsonValue] = {}
    start = number_of(original)
    if start is not None and isinstance(original, int | float):
        least, most = limits.at_least, limits.at_most
        if limits.only == "down":
            most = original if most is None else min(most, original)
        if limits.only == "up":
            least = original if least is None else max(least, original)
        schema |= {} if least is None else {"minimum": least}
        schema |= {} if most is None else {"maximum": most}
    if limits.one_of is not None:
        schema["enum"] = list(limits.one_of)
    if limits.max_length is not None and isinstance(original, str):
        schema["maxLength"] = limits.max_length
    return schema
