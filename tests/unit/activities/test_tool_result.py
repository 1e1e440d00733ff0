"""What a tool came to is always told: the effect has happened, whatever its value is like."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, field_serializer

from kern.activities.tool_result import error_text, outcome_of, result_text
from kern.session_state import SessionState
from tests.support.hostile_errors import BankError


class Word(StrEnum):
    yes = "yes"


class Order(BaseModel):
    id: int
    key: SecretStr = SecretStr("secret")


class Sulky(BaseModel):
    id: int = 1

    @field_serializer("id")
    def refuse(self, value: int) -> int:
        raise RuntimeError(value)


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@dataclass
class Point:
    x: int


def half() -> Iterator[int]:
    yield 1
    raise KeyError


def deep() -> list[object]:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


def circle() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (Word.yes, "yes"),
        (None, "null"),
        ({"b": [1, None]}, '{"b":[1,null]}'),
        (Decimal("1.10"), '"1.10"'),
        (Point(1), '{"x":1}'),
        (Order(id=1), '{"id":1,"key":"**********"}'),
        (b"text", '"text"'),
        ("lone \ud800\x00", "lone ?\ufffd"),
    ],
)
def test_values_are_told_as_json_and_texts_as_they_are(value: object, text: str) -> None:
    assert result_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        *(object(), Mute(), [Mute()], {Mute(): 1}, Sulky(), half(), int, b"\xff", {"\ud800": 1}),
        *(float("nan"), {(1, 2): 3}, circle(), deep(), {1, 2}, RuntimeError("x"), lambda: 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_not_json_is_described(value: object) -> None:
    text = result_text(value)
    assert text
    text.encode()
    assert "\x00" not in text


@given(
    st.recursive(st.none() | st.text() | st.binary() | st.complex_numbers(), st.lists, max_leaves=5)
)
def test_telling_a_value_never_fails(value: object) -> None:
    result_text(value).encode()


def test_what_a_state_does_when_it_is_read_fails_no_call() -> None:
    class Leaving(dict[str, int]):
        def items(self) -> NoReturn:
            raise SystemExit(3)

    state = SessionState({})
    state["k"] = Leaving(a=1)  # type: ignore[assignment]
    outcome = outcome_of("paid", state)
    assert outcome.changes == ()
    assert outcome.result.startswith("paid\n\nIts changes of the session's state were not kept: ")
    state["k"] = 1
    assert [change.key for change in outcome_of("paid", state).changes] == ["k"]


def test_large_results_are_kept_whole() -> None:
    assert len(json.loads(result_text(["x" * 1_000_000] * 5))) == 5


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such order"), "The tool failed: ValueError: no such order"),
        (KeyError(), "The tool failed: KeyError"),
        (SystemExit(3), "The tool failed: SystemExit: 3"),
        (MuteError(), "The tool failed: MuteError"),
        (ValueError("a\ud800\x00"), "The tool failed: ValueError: a?\ufffd"),
    ],
)
def test_an_error_is_told_with_its_type(error: BaseException, text: str) -> None:
    assert error_text(error) == text


def test_an_error_whose_own_code_raises_is_told_by_its_type() -> None:
    # No parameter, since pytest itself touches those.
    assert error_text(BankError("no funds")) == "The tool failed: BankError"


def test_an_errors_text_has_an_end() -> None:
    assert len(error_text(ValueError("x" * 100_000))) == 4000
