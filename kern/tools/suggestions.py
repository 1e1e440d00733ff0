"""Values that an agent found for what a person fills in, each with where it found it.

The model is offered one more argument. Nothing of it reaches the tool: the person sees the values
filled in, and what they send is what counts.
"""

from collections.abc import Collection
from typing import NamedTuple

from pydantic import JsonValue

from kern.values.canonical import clean_text

SUGGESTIONS = "suggestions"
_LONGEST_SOURCE = 200


class Suggestion(NamedTuple):
    """A value, and where the agent says that it found it."""

    value: JsonValue
    source: str | None

    @property
    def source_text(self) -> str:
        """What stands beside the value, for the person."""
        if self.source is None:
            return "From the agent, which does not say where it found it."
        return f"From the agent: {self.source}"


def with_suggestions(schema: dict[str, JsonValue], names: Collection[str]) -> dict[str, JsonValue]:
    """Return the schema of a tool's arguments with one more, for what was found for `names`.

    Args:
        schema: The schema of all arguments of the tool, with what a person fills in.
        names: The arguments that a person fills in.
    """
    properties = schema.get("properties")
    described = properties if isinstance(properties, dict) else {}
    source: JsonValue = {"type": "string", "description": "Where you found it, in a few words."}
    suggested: dict[str, JsonValue] = {
        name: {
            "type": "object",
            "properties": {"value": described.get(name, {}), "source": source},
            "required": ["value"],
            "additionalProperties": False,
        }
        for name in names
    }
    properties_without = {key: value for key, value in described.items() if key not in names}
    required = schema.get("required")
    return {
        **schema,
        "properties": {
            **properties_without,
            SUGGESTIONS: {
                "type": "object",
                "description": "A person fills in the rest. Values that you have found for it, if "
                "any; leave out what you would have to guess.",
                "properties": suggested,
                "additionalProperties": False,
            },
        },
        "required": [
            name for name in (required if isinstance(required, list) else []) if name not in names
        ],
    }


def take_suggestions(
    arguments: dict[str, JsonValue], names: Collection[str]
) -> tuple[dict[str, JsonValue], dict[str, Suggestion]]:
    """Return the arguments of a call without what it suggests, and that.

    Raises:
        ValueError: it does not have the form that was asked for; the message is for the model.
    """
    suggestions = arguments.get(SUGGESTIONS)
    rest = {name: value for name, value in arguments.items() if name != SUGGESTIONS}
    if suggestions is None:
        return rest, {}
    if not isinstance(suggestions, dict) or not suggestions.keys() <= set(names):
        message = f"{SUGGESTIONS}: give an object with any of {', '.join(names)}"
        raise ValueError(message)
    return rest, {
        name: _suggestion(name, item) for name, item in suggestions.items() if item is not None
    }


def _suggestion(name: str, item: JsonValue) -> Suggestion:
    if not isinstance(item, dict) or "value" not in item:
        message = f"{SUGGESTIONS}.{name}: give an object with `value`, and `source`"
        raise ValueError(message)
    source = item.get("source")
    text = clean_text(source).strip()[:_LONGEST_SOURCE] if isinstance(source, str) else ""
    return Suggestion(item["value"], text or None)
