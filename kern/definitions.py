"""Checks of what is declared, so that a mistake is told where it was made."""

from collections.abc import Sequence

from kern.errors import InvalidDefinition
from kern.models.base import Model
from kern.tools import Tool


def a_model(candidate: object) -> Model:
    """Return what is a model.

    Raises:
        InvalidDefinition: it is something else.
    """
    if isinstance(candidate, Model):
        return candidate
    message = f"{candidate!r} is no model: use one such as OpenAIResponses(id=…) of kern.models."
    raise InvalidDefinition(message)


def paragraphs(instructions: str | Sequence[str] | None) -> str | None:
    """Join several instructions into one text."""
    if instructions is None or isinstance(instructions, str):
        return instructions
    return "\n\n".join(instructions)


def by_name(tools: list[Tool]) -> dict[str, Tool]:
    """Return tools by their names.

    Raises:
        InvalidDefinition: two have one name.
    """
    names = [tool.name for tool in tools]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        message = (
            f"Two tools have the name {double[0]!r}: the model could not tell them apart. Pass "
            "name= to one."
        )
        raise InvalidDefinition(message)
    return {tool.name: tool for tool in tools}


def not_negative(name: str, value: int) -> int:
    """Return a number.

    Raises:
        InvalidDefinition: it is below 0.
    """
    if value < 0:
        message = f"{name} is {value!r}: use 0 or more."
        raise InvalidDefinition(message)
    return value


def limit(name: str, value: int | None) -> int | None:
    """As `not_negative`, for what may be None: no limit."""
    return None if value is None else not_negative(name, value)


def not_empty(**given: str | None) -> None:
    """Refuse an empty id or name, which would be taken for none.

    Raises:
        InvalidDefinition: one is empty.
    """
    for name, value in given.items():
        if value is not None and not value.strip():
            message = f"An agent's {name} is empty: give one, or leave it out."
            raise InvalidDefinition(message)
