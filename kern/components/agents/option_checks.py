"""Checks of what is declared, so that a mistake is told where it was made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue

from kern.errors import InvalidDefinition, InvalidInput
from kern.models.base import Model
from kern.session_state import changes_of
from kern.tools.tool import Tool
from kern.values.validation import a_count, described

Item = TypeVar("Item")

# Further than any run goes, and within what databases take for a limit.
_MOST = 1_000_000


def a_model(candidate: object) -> Model:
    """Return what is a model.

    Raises:
        InvalidDefinition: it is something else.
    """
    if isinstance(candidate, Model):
        return candidate
    shown = described(candidate)
    message = f"{shown} is no model: use one such as OpenAIResponses(id=…) of kern.models."
    raise InvalidDefinition(message)


def paragraphs(instructions: object) -> str | None:
    """Join several instructions into one text.

    Raises:
        InvalidDefinition: they are no text and no list of texts.
    """
    if instructions is None or isinstance(instructions, str):
        return instructions
    if isinstance(instructions, Sequence) and not isinstance(instructions, bytes):
        several = list[object](instructions)
        texts = [one for one in several if isinstance(one, str)]
        if len(texts) == len(several):
            return "\n\n".join(texts)
    message = f"instructions is {described(instructions)}: give a text, or a list of texts."
    raise InvalidDefinition(message)


def a_text(name: str, given: object) -> str | None:
    """Return a text, or None.

    Raises:
        InvalidDefinition: it is something else.
    """
    if given is None or isinstance(given, str):
        return given
    message = f"{name} is {described(given)}: give a text."
    raise InvalidDefinition(message)


def a_list(name: str, given: Iterable[Item] | object) -> list[Item]:
    """Return several things as a list.

    Raises:
        InvalidDefinition: they are one thing.
    """
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        return list(cast("Iterable[Item]", given))
    message = f"{name} is {described(given)}: give a list."
    raise InvalidDefinition(message)


def a_state(given: object) -> dict[str, JsonValue]:
    """Return the state with which sessions begin.

    Raises:
        InvalidDefinition: it is no dict of texts to JSON values.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        message = f"session_state is {described(given)}: give a dict."
        raise InvalidDefinition(message)
    try:
        changes = changes_of(cast("Mapping[str, JsonValue]", given))
    except InvalidInput as error:
        raise InvalidDefinition(str(error)) from error
    return {change.key: change.value for change in changes}


def a_schema(given: object) -> type[BaseModel] | None:
    """Return the pydantic model that an answer must fit, or None.

    Raises:
        InvalidDefinition: it is something else.
    """
    if given is None or (isinstance(given, type) and issubclass(given, BaseModel)):
        return given
    message = f"output_schema is {described(given)}: give a class derived from pydantic.BaseModel."
    raise InvalidDefinition(message)


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


def not_negative(name: str, value: object) -> int:
    """Return a whole number.

    Raises:
        InvalidDefinition: it is none, below 0, or larger than anybody means.
    """
    try:
        return a_count(name, value, least=0, most=_MOST)
    except InvalidInput as error:
        raise InvalidDefinition(str(error)) from None


def limit(name: str, value: object) -> int | None:
    """As `not_negative`, for what may be None: no limit."""
    return None if value is None else not_negative(name, value)


def not_empty(**given: object) -> None:
    """Refuse an empty id or name, which would be taken for none.

    Raises:
        InvalidDefinition: one is empty, or no text.
    """
    for name, value in given.items():
        text = a_text(name, value)
        if text is not None and not text.strip():
            message = f"The {name} is empty: give one, or leave it out."
            raise InvalidDefinition(message)
