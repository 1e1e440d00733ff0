"""Checks of a declaration's options, so that a mistake is reported where it was made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue

from kern.errors import InvalidDefinition, InvalidInput
from kern.models.base import Model
from kern.session_state import changes_of
from kern.tools.tool import Tool
from kern.values.validation import described, require_count

Item = TypeVar("Item")

# More than any run needs, and within what databases take for a limit.
_LARGEST_NUMBER = 1_000_000


def require_model(value: object) -> Model:
    """Return `value` if it is a model.

    Raises:
        InvalidDefinition: it is something else.
    """
    if isinstance(value, Model):
        return value
    message = (
        f"{described(value)} is no model: use one such as OpenAIResponses(id=…) of kern.models."
    )
    raise InvalidDefinition(message)


def join_instructions(instructions: object) -> str | None:
    """Join a list of instructions into one text of paragraphs.

    Raises:
        InvalidDefinition: they are neither a text nor a list of texts.
    """
    if instructions is None or isinstance(instructions, str):
        return instructions
    if isinstance(instructions, Sequence) and not isinstance(instructions, bytes):
        items = list[object](instructions)
        texts = [item for item in items if isinstance(item, str)]
        if len(texts) == len(items):
            return "\n\n".join(texts)
    message = f"instructions is {described(instructions)}: give a text, or a list of texts."
    raise InvalidDefinition(message)


def require_optional_text(name: str, value: object) -> str | None:
    """Return `value` if it is a text or None.

    Raises:
        InvalidDefinition: it is something else.
    """
    if value is None or isinstance(value, str):
        return value
    message = f"{name} is {described(value)}: give a text."
    raise InvalidDefinition(message)


def require_list(name: str, value: Iterable[Item] | object) -> list[Item]:
    """Return the items of a list or of another iterable.

    Raises:
        InvalidDefinition: `value` is no iterable, or a text or a mapping, which nobody means.
    """
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return list(cast("Iterable[Item]", value))
    message = f"{name} is {described(value)}: give a list."
    raise InvalidDefinition(message)


def require_state(value: object) -> dict[str, JsonValue]:
    """Return the state with which sessions begin.

    Raises:
        InvalidDefinition: it is no dict of texts to JSON values.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        message = f"session_state is {described(value)}: give a dict."
        raise InvalidDefinition(message)
    try:
        changes = changes_of(cast("Mapping[str, JsonValue]", value))
    except InvalidInput as error:
        raise InvalidDefinition(str(error)) from error
    return {change.key: change.value for change in changes}


def require_schema(value: object) -> type[BaseModel] | None:
    """Return the pydantic model that an answer must fit, or None.

    Raises:
        InvalidDefinition: it is something else.
    """
    if value is None or (isinstance(value, type) and issubclass(value, BaseModel)):
        return value
    message = f"output_schema is {described(value)}: give a class derived from pydantic.BaseModel."
    raise InvalidDefinition(message)


def tools_by_name(tools: list[Tool]) -> dict[str, Tool]:
    """Return tools by their names.

    Raises:
        InvalidDefinition: two have the same name.
    """
    names = [tool.name for tool in tools]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        message = (
            f"Two tools have the name {duplicates[0]!r}: the model could not distinguish them. "
            "Pass name= to one."
        )
        raise InvalidDefinition(message)
    return {tool.name: tool for tool in tools}


def require_number(name: str, value: object, least: int = 0) -> int:
    """Return a whole number from `least` on.

    Raises:
        InvalidDefinition: it is no such number, or larger than anybody means.
    """
    try:
        return require_count(name, value, least=least, most=_LARGEST_NUMBER)
    except InvalidInput as error:
        raise InvalidDefinition(str(error)) from None


def require_limit(name: str, value: object, least: int = 0) -> int | None:
    """Return a whole number from `least` on, or None for no limit.

    Raises:
        InvalidDefinition: as `require_number`.
    """
    return None if value is None else require_number(name, value, least)


def require_filled(**texts: object) -> None:
    """Refuse an empty id or name: to leave it out, one passes None.

    Raises:
        InvalidDefinition: one is empty, or no text.
    """
    for name, value in texts.items():
        text = require_optional_text(name, value)
        if text is not None and not text.strip():
            message = f"The {name} is empty: give one, or leave it out."
            raise InvalidDefinition(message)
