"""Reads a tool's signature and docstring into a pydantic model and a JSON Schema."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Optional, cast, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kern.errors import InvalidDefinition, InvalidInput
from kern.process.logs import warn_raised
from kern.values.canonical import canonical_json
from kern.values.validation import described

_CONTEXT = "run_context"


class Signature:
    """The parameters of a tool: a pydantic model, and whether it takes the run's context."""

    def __init__(self, function: Callable[..., object], name: str) -> None:
        parameters = _parameters(function, name)
        doc = parse_docstring(inspect.getdoc(function) or "")
        self.description = "\n\n".join(
            part for part in (doc.short_description, doc.long_description) if part
        )
        self.takes_context = _CONTEXT in parameters
        described = {param.arg_name: param.description or "" for param in doc.params}
        hints = _hints(function, name)
        self.names = tuple(key for key in parameters if key != _CONTEXT)
        self._tool = name
        self._fields = {
            key: _field(parameters[key], hints.get(key, JsonValue), described.get(key), name)
            for key in self.names
        }
        try:
            self.model = _build(name, self._fields)
            self.schema = _described(self.model)
        except PydanticUserError as error:
            raise InvalidDefinition(_undescribable(name, hints, self.names)) from error

    def validate(self, arguments: dict[str, JsonValue]) -> dict[str, object]:
        """Return the arguments as the function takes them.

        Raises:
            ValueError: one or more do not fit, or a number would change its value; the message
                names each.
        """
        try:
            value = _read(self.model, arguments)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        check_exact(arguments, value.model_dump(mode="json", by_alias=True))
        return {key: getattr(value, f"arg_{key}") for key in self.names}

    def freeze(
        self, arguments: dict[str, JsonValue], without: Collection[str] = ()
    ) -> dict[str, JsonValue]:
        """Return the arguments with their defaults, so that later code cannot change them.

        Args:
            arguments: The model's arguments.
            without: Arguments that a person will fill in: they are neither checked nor returned.

        Raises:
            ValueError: one or more do not fit; the message names each.
        """
        fields = {key: field for key, field in self._fields.items() if key not in without}
        model = _build(self._tool, fields) if without else self.model
        try:
            value = _read(model, arguments)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        dumped: dict[str, JsonValue] = value.model_dump(mode="json", by_alias=True)
        if _reads_as(value, dumped):
            return dumped
        # Something does not survive being written and read, such as a secret, which is masked: then
        # the model's own arguments are kept, and of the defaults only those that do survive.
        merged = {**dumped, **arguments}
        return {
            key: merged[key]
            for key in fields
            if key in arguments or _reads_as(value, {**arguments, key: dumped[key]}, key)
        }


def schema_of(model: type[BaseModel], without: Iterable[str] = ()) -> dict[str, JsonValue]:
    """Return the JSON Schema of a model's fields, leaving some out."""
    schema: dict[str, JsonValue] = model.model_json_schema(by_alias=True)
    schema.pop("title", None)
    return without_fields(schema, without)


def without_fields(schema: dict[str, JsonValue], names: Iterable[str]) -> dict[str, JsonValue]:
    """Return a copy of an object's schema without the fields `names`."""
    excluded = set(names)
    properties, required = schema.get("properties"), schema.get("required")
    fields = properties if isinstance(properties, dict) else {}
    required_names = required if isinstance(required, list) else []
    return {
        **schema,
        "properties": {key: value for key, value in fields.items() if key not in excluded},
        "required": [key for key in required_names if key not in excluded],
    }


def describe(error: ValidationError) -> str:
    """Return one line that names the values that do not fit, without internal names."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
        f" (got {str(item['input'])[:200]!r})"
        for item in error.errors(include_url=False, include_context=False)
    )


def check_exact(value: JsonValue, parsed: JsonValue, where: str = "arguments") -> None:
    """Refuse a number that validation changes, as a float changes a very large integer.

    Raises:
        ValueError: a number was changed; the message names it.
    """
    match value, parsed:
        case dict(), dict():
            for key in value.keys() & parsed.keys():
                check_exact(value[key], parsed[key], f"{where}.{key}")
        case list(), list():
            for index, (item, parsed_item) in enumerate(zip(value, parsed, strict=False)):
                check_exact(item, parsed_item, f"{where}.{index}")
        case int() | float(), int() | float() | None if value != parsed:
            message = (
                f"{where}: {str(value)[:60]} cannot be held exactly; it would become {parsed}. "
                "What is approved is what runs, so a validator of the tool may refuse a number and "
                "not change it: that belongs into the tool's code"
            )
            raise ValueError(message)
        case _:
            pass


def _read(model: type[BaseModel], arguments: dict[str, JsonValue]) -> BaseModel:
    """Validate as JSON, where strict types accept the text of an enum or a date."""
    text = canonical_json(arguments)
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise
    except Exception as error:
        warn_raised("validator", model.__name__, error)
        # Otherwise the model would be asked again and again for the same call.
        message = f"their validation raised {described(error)}"
        raise ValueError(message) from error


def _reads_as(value: BaseModel, dumped: dict[str, JsonValue], key: str | None = None) -> bool:
    """Whether reading what was dumped gives the value again; a masked secret does not."""
    try:
        again = _read(type(value), dumped)
    except ValueError:
        return False
    if key is None:
        return again == value or _plain(again) == _plain(value)
    attribute = f"arg_{key}"
    return _plain(getattr(again, attribute)) == _plain(getattr(value, attribute))


def _plain(value: object) -> object:
    """Return a value in plain types, where a tuple equals the list that JSON makes of it."""
    match value:
        case BaseModel():
            return {key: _plain(item) for key, item in value}
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value


def _described(model: type[BaseModel]) -> dict[str, JsonValue]:
    schema = schema_of(model)
    properties = schema.get("properties")
    for shape in properties.values() if isinstance(properties, dict) else ():
        if isinstance(shape, dict) and shape.get("writeOnly"):
            # The default of a secret is its mask, which is no default.
            shape.pop("default", None)
    return schema


def _undescribable(tool: str, hints: Mapping[str, object], names: Iterable[str]) -> str:
    """Return a message that names the argument; pydantic's own is for authors of models."""
    wrong = [name for name in names if not _is_describable(hints.get(name, JsonValue))]
    listing = " and ".join(f"{name!r} of type {_type_name(hints[name])}" for name in wrong)
    return (
        f"The tool {tool!r} takes {listing or 'an argument'}, which no JSON Schema describes, so a "
        "model cannot fill it in. Take what JSON can carry (text, numbers, lists, dicts, enums, "
        "dataclasses, pydantic models), such as the id of what is meant."
    )


def _is_describable(hint: object) -> bool:
    try:
        TypeAdapter(cast("Any", hint)).json_schema()
    except PydanticUserError:
        return False
    return True


def _type_name(hint: object) -> str:
    if isinstance(hint, type) and get_origin(hint) is None:
        return repr(f"{hint.__module__}.{hint.__qualname__}")
    return repr(str(hint))


def _parameters(function: Callable[..., object], name: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        message = f"The tool {name!r} has no signature to read: {error}. Wrap it in a function."
        raise InvalidDefinition(message) from error


def _hints(function: Callable[..., object], name: str) -> dict[str, object]:
    try:
        return get_type_hints(function, include_extras=True)
    except TypeError as error:
        kind = type(function).__name__
        message = (
            f"The tool {name!r} is an object of type {kind!r}, whose annotations cannot be read. "
            "Wrap it in a function."
        )
        raise InvalidDefinition(message) from error
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
    hint, default = _default(parameter, hint, tool)
    # The description of an annotation wins over the docstring's.
    is_described = description is None or get_origin(hint) is Annotated
    if is_described:
        return (hint, Field(default, alias=parameter.name))
    return (hint, Field(default, alias=parameter.name, description=description))


def _default(parameter: inspect.Parameter, hint: object, tool: str) -> tuple[object, Any]:
    """Return the annotation and the default for pydantic; `...` if there is no default."""
    default: object = parameter.default
    annotation = cast("Any", hint)
    if isinstance(default, FieldInfo):
        annotation = Annotated[annotation, default]
        default = default.get_default(call_default_factory=True)
    if any(default is missing for missing in (parameter.empty, PydanticUndefined, ...)):
        return annotation, ...
    if default is None:
        # `limit: int = None` means `int | None`.
        annotation = Optional[annotation]  # noqa: UP045  the annotation is a value here
    try:
        adapter: TypeAdapter[object] = TypeAdapter(cast("Any", annotation))
        validated = adapter.validate_python(default)
        canonical_json(adapter.dump_python(validated, mode="json"))
    except PydanticUserError as error:
        hints = {parameter.name: hint}
        raise InvalidDefinition(_undescribable(tool, hints, hints)) from error
    except (ValueError, InvalidInput) as error:
        problem = describe(error) if isinstance(error, ValidationError) else str(error)
        message = (
            f"The tool {tool!r} has a default for {parameter.name!r} that does not fit: {problem}"
        )
        raise InvalidDefinition(message) from error
    return annotation, default if isinstance(validated, Iterator) else validated


def _build(name: str, fields: dict[str, tuple[object, FieldInfo]]) -> type[BaseModel]:
    config = ConfigDict(extra="forbid", validate_by_alias=True)
    # The fields are known at run time only, which pydantic's declared type does not provide for.
    # The prefix keeps them clear of the names that pydantic's models use themselves.
    definitions = cast("dict[str, Any]", {f"arg_{key}": field for key, field in fields.items()})
    return create_model(name, __config__=config, **definitions)
