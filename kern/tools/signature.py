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
from kern.values.canonical import canonical_json
from kern.values.validation import described

_CONTEXT = "run_context"


class Signature:
    """What a tool takes.

    Its arguments as a pydantic model, and whether it wants the run's context.
    """

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
            ValueError: one or more do not fit, or a number would become another one; the message
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
        """Return the arguments in full, defaults included: later code must not change them.

        Args:
            arguments: What the model gave.
            without: Arguments that a person will give: they are neither checked nor in the result.

        Raises:
            ValueError: one or more do not fit; the message names each.
        """
        fields = {key: field for key, field in self._fields.items() if key not in without}
        model = _build(self._tool, fields) if without else self.model
        try:
            value = _read(model, arguments)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        written: dict[str, JsonValue] = value.model_dump(mode="json", by_alias=True)
        if _reads_as(value, written):
            return written
        kept = {**written, **arguments}
        return {
            key: kept[key]
            for key in fields
            if key in arguments or _reads_as(value, {**arguments, key: written[key]}, key)
        }


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


def check_exact(given: JsonValue, read: JsonValue, where: str = "arguments") -> None:
    """Refuse a number that was read as another one, as a float reads a very large integer.

    Raises:
        ValueError: one was; the message names it.
    """
    match given, read:
        case dict(), dict():
            for key in given.keys() & read.keys():
                check_exact(given[key], read[key], f"{where}.{key}")
        case list(), list():
            for index, (one, other) in enumerate(zip(given, read, strict=False)):
                check_exact(one, other, f"{where}.{index}")
        case int() | float(), int() | float() | None if given != read:
            message = f"{where}: {str(given)[:60]} cannot be held exactly; it would become {read}"
            raise ValueError(message)
        case _:
            pass


def _read(model: type[BaseModel], arguments: dict[str, JsonValue]) -> BaseModel:
    """Validate as JSON: what is strict about its types takes an enum's or a date's text there."""
    text = canonical_json(arguments)
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise
    except Exception as error:
        # Otherwise the model would be asked again and again for the same call.
        message = f"their validation raised {described(error)}"
        raise ValueError(message) from error


def _reads_as(value: BaseModel, written: dict[str, JsonValue], key: str | None = None) -> bool:
    """Whether what was written leads back to the value; a secret that was masked does not."""
    try:
        again = _read(type(value), written)
    except ValueError:
        return False
    if key is None:
        return again == value or _plain(again) == _plain(value)
    attribute = f"arg_{key}"
    return _plain(getattr(again, attribute)) == _plain(getattr(value, attribute))


def _plain(value: object) -> object:
    """Return a value in a form in which it equals what JSON made of it: a tuple comes as a list."""
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
            # The mask that stands for a secret is no default.
            shape.pop("default", None)
    return schema


def _undescribable(tool: str, hints: Mapping[str, object], names: Iterable[str]) -> str:
    """Say which argument is at fault; what pydantic says of it is advice for models' authors."""
    wrong = [name for name in names if not _is_describable(hints.get(name, JsonValue))]
    what = " and ".join(f"{name!r} of type {_type_name(hints[name])}" for name in wrong)
    return (
        f"The tool {tool!r} takes {what or 'an argument'}, which no JSON Schema describes, so a "
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
    # An annotation's own description stays: it is the more deliberate one.
    has_own = description is None or get_origin(hint) is Annotated
    if has_own:
        return (hint, Field(default, alias=parameter.name))
    return (hint, Field(default, alias=parameter.name, description=description))


def _default(parameter: inspect.Parameter, hint: object, tool: str) -> tuple[object, Any]:
    """Return the annotation and the default as pydantic takes them; `...` where there is none."""
    given: object = parameter.default
    taken = cast("Any", hint)
    if isinstance(given, FieldInfo):
        taken, given = Annotated[taken, given], given.get_default(call_default_factory=True)
    if any(given is nothing for nothing in (parameter.empty, PydanticUndefined, ...)):
        return taken, ...
    if given is None:
        # `limit: int = None` means `int | None` to whoever writes it.
        taken = Optional[taken]  # noqa: UP045  a hint that is a value, of whatever kind
    try:
        adapter: TypeAdapter[object] = TypeAdapter(cast("Any", taken))
        fitting = adapter.validate_python(given)
        canonical_json(adapter.dump_python(fitting, mode="json"))
    except PydanticUserError as error:
        hints = {parameter.name: hint}
        raise InvalidDefinition(_undescribable(tool, hints, hints)) from error
    except (ValueError, InvalidInput) as error:
        problem = describe(error) if isinstance(error, ValidationError) else str(error)
        message = (
            f"The tool {tool!r} has a default for {parameter.name!r} that does not fit: {problem}"
        )
        raise InvalidDefinition(message) from error
    return taken, given if isinstance(fitting, Iterator) else fitting


def _build(name: str, fields: dict[str, tuple[object, FieldInfo]]) -> type[BaseModel]:
    config = ConfigDict(extra="forbid", validate_by_alias=True)
    # Only known when the program runs: pydantic's declared type is for fields written out by hand.
    # Their own names keep clear of those that pydantic's models have.
    declared = cast("dict[str, Any]", {f"arg_{key}": field for key, field in fields.items()})
    return create_model(name, __config__=config, **declared)
