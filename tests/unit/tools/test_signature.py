"""Signatures become schemas, and what a model gives becomes what the function takes."""

import datetime as dt
import json
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum, StrEnum
from functools import partial
from typing import Annotated, Literal, Optional
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr

from kern.errors import InvalidDefinition
from kern.tools import RunContext, Tool
from kern.tools.signature import Signature
from kern.tools.tool import tool_definition

MOMENT = "2026-01-02T03:04:05Z"
AN_ID = "6f3f4a52-0c0e-4dc5-9a55-0d3a4c0f2c11"


class Colour(Enum):
    red = "red"
    blue = "blue"


class Size(StrEnum):
    small = "small"


class Line(BaseModel):
    sku: str = Field(description="Stock number.")
    count: int = 1


class Order(BaseModel):
    id: str
    lines: list[Line]


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)

    colour: Colour
    id: UUID
    days: set[dt.date]


def signature(function: Callable[..., object]) -> Signature:
    return Signature(function, getattr(function, "__name__", "tool"))


def properties(function: Callable[..., object]) -> dict[str, dict[str, JsonValue]]:
    found: dict[str, dict[str, JsonValue]] = json.loads(
        json.dumps(signature(function).schema["properties"])
    )
    return found


def returned(function: Callable[..., object], **arguments: JsonValue) -> dict[str, object]:
    """Take arguments the way of a call: freeze, store as JSON, read, validate."""
    taken = signature(function)
    return taken.validate(json.loads(json.dumps(taken.freeze(arguments))))


def test_types_required_arguments_and_descriptions_come_from_the_function() -> None:
    def refund(order_id: str, amount: float = 1.5, *, urgent: bool = False) -> None:
        """Pay back.

        In full.

        Args:
            order_id: Which order.
            amount: How much.
        """

    found = signature(refund)
    assert found.description == "Pay back.\n\nIn full."
    assert found.schema["required"] == ["order_id"]
    assert found.schema["additionalProperties"] is False
    shapes = properties(refund)
    assert [shape["type"] for shape in shapes.values()] == ["string", "number", "boolean"]
    assert shapes["order_id"]["description"] == "Which order."
    assert (shapes["amount"]["description"], shapes["amount"]["default"]) == ("How much.", 1.5)


def test_constraints_are_told_and_kept() -> None:
    def order(count: Annotated[int, Field(ge=1, le=9, description="How many.")]) -> None:
        """Order.

        Args:
            count: Less deliberate.
        """

    shape = properties(order)["count"]
    assert (shape["minimum"], shape["maximum"], shape["description"]) == (1, 9, "How many.")
    with pytest.raises(ValueError, match=r"count: .*greater than or equal to 1 \(got '0'\)"):
        signature(order).freeze({"count": 0})


def test_a_field_as_default_is_read_as_pydantic_reads_it() -> None:
    def order(count: int = Field(5, gt=0), note: str = Field(min_length=2)) -> None:
        """Order."""

    assert returned(order, note="ab") == {"count": 5, "note": "ab"}
    assert signature(order).schema["required"] == ["note"]
    with pytest.raises(ValueError, match="count"):
        signature(order).freeze({"count": 0, "note": "ab"})


def test_models_enums_and_literals_arrive_as_themselves() -> None:
    def ship(order: Order, colour: Colour, size: Size, how: Literal["air", "sea"]) -> None: ...

    found = returned(
        ship, order={"id": "1", "lines": [{"sku": "a"}]}, colour="red", size="small", how="sea"
    )
    assert found == {
        "order": Order(id="1", lines=[Line(sku="a")]),
        "colour": Colour.red,
        "size": Size.small,
        "how": "sea",
    }


def test_freezing_writes_out_defaults_of_nested_models_too() -> None:
    def ship(order: Order, colour: Colour = Colour.blue, tags: Sequence[str] = ()) -> None: ...

    frozen = signature(ship).freeze({"order": {"id": "1", "lines": [{"sku": "a"}]}})
    assert frozen == {
        "order": {"id": "1", "lines": [{"sku": "a", "count": 1}]},
        "colour": "blue",
        "tags": [],
    }
    assert signature(ship).freeze(frozen) == frozen


def test_arguments_are_read_as_json_so_strict_models_fit() -> None:
    def check(exact: Exact) -> None: ...

    given_: dict[str, JsonValue] = {"colour": "red", "id": AN_ID, "days": ["2026-01-02"]}
    assert returned(check, exact=given_)["exact"] == Exact(
        colour=Colour.red, id=UUID(AN_ID), days={dt.date(2026, 1, 2)}
    )


def test_none_as_default_makes_an_argument_optional() -> None:
    def find(limit: int = None, name: Optional[str] = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013, UP045

    assert returned(find) == {"limit": None, "name": None}
    assert returned(find, limit=3, name=None) == {"limit": 3, "name": None}
    assert {"type": "null"} in json.loads(json.dumps(properties(find)["limit"]["anyOf"]))


@pytest.mark.parametrize(
    ("hint", "written", "value"),
    [
        (dt.datetime, MOMENT, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        (dt.date, "2026-01-02", dt.date(2026, 1, 2)),
        (dt.time, "03:04:05", dt.time(3, 4, 5)),
        (dt.timedelta, "PT90S", dt.timedelta(seconds=90)),
        (Decimal, "1.10", Decimal("1.10")),
        (UUID, AN_ID, UUID(AN_ID)),
        (bytes, "abc", b"abc"),
        (set[int], [2, 1], {1, 2}),
        (frozenset[str], ["b", "a"], frozenset({"a", "b"})),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (int | str, "5", "5"),
        (int, 2**70, 2**70),
        (float, 0.1, 0.1),
        (JsonValue, {"any": [None, True]}, {"any": [None, True]}),
    ],
)
def test_values_survive_the_way_through_storage(
    hint: object, written: JsonValue, value: object
) -> None:
    def take(it: object) -> None: ...

    take.__annotations__["it"] = hint
    assert returned(take, it=written) == {"it": value}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_money_keeps_every_digit(amount: Decimal) -> None:
    def pay(amount: Decimal) -> None: ...

    assert returned(pay, amount=str(amount)) == {"amount": amount}


def test_secrets_are_neither_lost_nor_written_where_nobody_gave_them() -> None:
    built_in = SecretStr("default")

    def login(
        password: Annotated[SecretStr, Field(min_length=12)], key: SecretStr = built_in
    ) -> None: ...

    frozen = signature(login).freeze({"password": "hunter2-hunter2"})
    assert frozen == {"password": "hunter2-hunter2"}
    found = signature(login).validate(frozen)
    assert found == {"password": SecretStr("hunter2-hunter2"), "key": SecretStr("default")}
    assert "default" not in properties(login)["key"]
    assert "hunter2" not in str(found)


def test_arguments_may_have_the_names_that_models_have() -> None:
    def save(
        schema: int, json: str, model_config: str, *, copy: bool, model_fields: int = 4, _x: int = 5
    ) -> None: ...

    given_: dict[str, JsonValue] = {"schema": 1, "json": "j", "copy": True, "model_config": "c"}
    everything = {**given_, "model_fields": 4, "_x": 5}
    assert signature(save).freeze(given_) == everything
    assert returned(save, **given_) == everything


def test_the_run_context_is_no_argument_of_the_model() -> None:
    def note(text: str, run_context: RunContext) -> None: ...

    assert signature(note).takes_context
    assert signature(note).names == ("text",)
    assert "run_context" not in json.dumps(signature(note).schema)
    with pytest.raises(ValueError, match="run_context"):
        signature(note).freeze({"text": "a", "run_context": {}})


def test_what_the_function_does_not_take_is_refused_by_name() -> None:
    def note(text: str) -> None: ...

    with pytest.raises(ValueError, match=r"txt: Extra inputs.*|text: Field required") as caught:
        signature(note).freeze({"txt": "a"})
    assert "text: Field required" in str(caught.value)
    assert "arg_" not in str(caught.value)


def test_an_argument_without_annotation_takes_any_json() -> None:
    function = eval("lambda value: value")  # noqa: S307  the only way to leave the annotation out
    assert Signature(function, "any").validate({"value": [1, {"a": None}]}) == {
        "value": [1, {"a": None}]
    }


def test_methods_are_tools_without_their_self() -> None:
    class Shop:
        def refund(self, order: str) -> str:
            return order

    assert tool_definition(Tool(Shop().refund)).signature.names == ("order",)


def takes_all(*args: int) -> None: ...


def takes_any(**kwargs: int) -> None: ...


def positional(value: int, /) -> None: ...


def unresolvable(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def undescribable(value: Callable[[], int]) -> None: ...


def connected(query: str, connection: sqlite3.Connection) -> None: ...


def not_connected(connection: sqlite3.Connection | None = None) -> None: ...


class Caller:
    def __call__(self, value: int) -> None: ...


def wrong_default(value: int = "many") -> None: ...  # type: ignore[assignment]


def infinite_default(value: float = float("inf")) -> None: ...


def binary_default(value: bytes = b"\xff") -> None: ...


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (takes_all, r"'t' takes \*args.* name of its own"),
        (takes_any, r"'t' takes \*\*kwargs.* name of its own"),
        (positional, "which a model cannot fill in"),
        (unresolvable, "'Nowhere' is not defined.*module level"),
        (undescribable, r"'t' takes 'value' of type .*Callable.*, which no JSON Schema describes"),
        (connected, r"'t' takes 'connection' of type 'sqlite3.Connection', which .* the id of"),
        (not_connected, r"takes 'connection' of type 'sqlite3.Connection | None', which"),
        (wrong_default, "default for 'value' that does not fit"),
        (infinite_default, "default for 'value' that does not fit"),
        (binary_default, "default for 'value' that does not fit"),
        (partial(positional, 1), "Wrap it in a function"),
        (dict, "Wrap it in a function"),
    ],
)
@pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
def test_a_function_that_no_model_could_call_is_refused(
    function: Callable[..., object], why: str
) -> None:
    with pytest.raises(InvalidDefinition, match=why) as refused:
        Tool(function, name="t")
    assert "\n" not in str(refused.value)


def test_an_object_that_is_called_is_refused_by_the_name_of_its_type() -> None:
    with pytest.raises(InvalidDefinition, match=r"'Caller' is an object of type 'Caller'.*Wrap"):
        Tool(Caller())


def test_a_validator_that_breaks_says_that_the_arguments_do_not_fit() -> None:
    def look_up(text: str) -> str:
        raise KeyError(text)

    def refund(order_id: Annotated[str, AfterValidator(look_up)]) -> None:
        """Refund."""

    signature = Signature(refund, "refund")
    for read in (signature.validate, signature.freeze):
        with pytest.raises(ValueError, match=r"validation raised KeyError\('1042'\)"):
            read({"order_id": "1042"})
