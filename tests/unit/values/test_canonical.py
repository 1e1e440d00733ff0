"""Canonical JSON: one text for one value, and nothing in it that a database refuses."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.errors import InvalidInput
from kern.values.canonical import (
    arguments_digest,
    canonical_json,
    clean_json,
    clean_text,
    digest,
    parse_json,
)

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
ANY_JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


def test_the_order_of_keys_and_spaces_do_not_matter() -> None:
    assert canonical_json({"b": [1, {"d": 1, "c": "ä"}], "a": None}) == (
        '{"a":null,"b":[1,{"c":"ä","d":1}]}'
    )
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_digest_is_the_sha256_of_the_text() -> None:
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert digest([]) != digest({})
    assert digest(1) != digest(1.0) != digest(True)  # noqa: FBT003


def test_the_tools_name_belongs_to_what_is_frozen() -> None:
    assert arguments_digest("refund", {"a": 1}) != arguments_digest("charge", {"a": 1})


@given(ANY_JSON)
def test_what_is_cleaned_survives_storage_and_keeps_its_digest(value: JsonValue) -> None:
    cleaned = clean_json(value)
    text = canonical_json(cleaned)
    assert "\x00" not in text
    again = json.loads(text.encode())
    assert canonical_json(again) == text
    assert digest(again) == digest(cleaned)
    assert clean_json(cleaned) == cleaned


@given(ANY_TEXT)
def test_clean_text_changes_only_what_cannot_be_stored(text: str) -> None:
    found = clean_text(text)
    assert len(found) == len(text)
    kept = [a for a in text if a != "\x00" and not "\ud800" <= a <= "\udfff"]
    assert [b for a, b in zip(text, found, strict=True) if a == b] == kept


def test_big_integers_keep_every_digit() -> None:
    assert json.loads(canonical_json(2**200)) == 2**200


def deep(levels: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {"a": [float("-inf")]}, "\ud800", deep(100_000), object()]
)
def test_what_json_does_not_have_is_refused(value: JsonValue) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        canonical_json(value)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "-1e999", "[" * 100_000, "{}{}", "'a'", "9" * 9999]
)
def test_what_is_no_json_is_refused_with_one_kind_of_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@given(ANY_JSON)
def test_everything_that_json_can_say_is_read(value: JsonValue) -> None:
    assert parse_json(json.dumps(value)) == clean_json(value)


def test_a_key_given_twice_has_its_last_value() -> None:
    assert parse_json('{"a": 1, "a": 2}') == {"a": 2}
