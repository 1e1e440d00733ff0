"""Reads a tool's signature and docstring into a pydantic model and a JSON Schema."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, cast, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PydanticUserError,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo

from kern.errors import InvalidDefinition

_CONTEXT = "run_context"


class Signature:
    """What a tool takes.

    Its arguments as a pydantic model, and whether it wants the run's context.
    """

    def __init__(self, function: Callable[..., object], name: str) -> None:
        parameters = inspect.signature(function).parameters
        doc = parse_docstring(inspect.getdoc(function) or "")
        self.description = "\n\n".join(
            part for part in (doc.short_description, doc.long_description) if part
        )
        self.takes_context = _CONTEXT in parameters
        described = {param.arg_name: param.description or "" for param in doc.params}
        hints = _hints(function, name)
        self.names = tuple(key for key in parameters if key != _CONTEXT)
        fields = {
            f"arg_{key}": _field(
                parameters[key], hints.get(key, JsonValue), described.get(key), name
            )
            for key in self.names
        }
        self.model = _build(name, fields)
        self.schema = schema_of(self.model)

    def validate(self, arguments: dict[str, JsonValue]) -> dict[str, object]:
        """Return the arguments as the function takes them.

        Raises:
            ValueError: one or more do not fit; the message names each.
        """
        try:
            value = self.model.model_validate(arguments)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        return {key: getattr(value, f"arg_{key}") for key in self.names}

    def freeze(self, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the arguments in full, defaults included: later code must not change them.

        Raises:
            ValueError: one or more do not fit; the message names each.
        """
        try:
            value = self.model.model_validate(arguments)
            full: dict[str, JsonValue] = value.model_dump(mode="json", by_alias=True)
            again = self.model.model_validate(full)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        return full if again == value else {**full, **arguments}


def schema_of(model: type[BaseModel], without: Iterable[str] = ()) -> dict[str, JsonValue]:
    """Return the JSON Schema of a model's fields, leaving some out."""
    schema: dict[str, JsonValue] = model.model_json_schema(by_alias=True)
    schema.pop("title", None)
    return without_fields(schema, without)


def without_fields(schema: dict[str, JsonValue], names: Iterable[str]) -> dict[str, JsonValue]:
    """Return a copy of an object's schema in which the fields `names` do not occur."""
    left_out = set(names)
    properties, required = schema.get("properties"), schema.get("required")
    kept = properties if isinstance(properties, dict) else {}
    demanded = required if isinstance(required, list) else []
    return {
        **schema,
        "properties": {key: value for key, value in kept.items() if key not in left_out},
        "required": [key for key in demanded if key not in left_out],
    }


def describe(error: ValidationError) -> str:
    """Say in one line which values do not fit, without the model's internal names."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
        f" (got {str(item['input'])[:200]!r})"
        for item in error.errors(include_url=False, include_context=False)
    )


def _hints(function: Callable[..., object], name: str) -> dict[str, object]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        message = (
            f"The tool {name!r} has an annotation that cannot be resolved: {error}. Define it at "
            "module level."
        )
        raise InvalidDefinition(message) from error


def _field(
    parameter: inspect.Parameter, hint: object, description: str | None, tool: str
) -> tuple[object, FieldInfo]:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        message = (
            f"The tool {tool!r} takes {parameter}, which a model cannot fill in. "
            "Give every argument a name of its own."
        )
        raise InvalidDefinition(message)
    default = ... if parameter.default is parameter.empty else parameter.default
    info: FieldInfo = Field(default, alias=parameter.name)
    # An annotation's own description stays: it is the more deliberate one.
    if description is not None and get_origin(hint) is not Annotated:
        info.description = description
    return (hint, info)


def _build(name: str, fields: dict[str, tuple[object, FieldInfo]]) -> type[BaseModel]:
    config = ConfigDict(extra="forbid", validate_by_alias=True)
    # Only known when the program runs: pydantic's declared type is for fields written out by hand.
    declared = cast("dict[str, Any]", fields)
    try:
        return create_model(name, __config__=config, **declared)
    except PydanticUserError as error:
        message = (
            f"The tool {name!r} has an argument that pydantic cannot describe: {error.message}"
        )
        raise InvalidDefinition(message) from error
