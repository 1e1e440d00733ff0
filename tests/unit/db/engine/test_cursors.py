"""A cursor comes back as the place that it was written for, and nothing else is taken for one."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.db.engine import cursors
from kern.db.engine.cursors import Place
from kern.errors import InvalidInput
from kern.values.ids import require_id

WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
MOMENT = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda n: timezone(timedelta(minutes=n)))
# A day from both ends of the calendar, where a change of zone would leave it.
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=offsets)  # noqa: DTZ001  the strategy adds the zone


def is_id(text: str) -> bool:
    try:
        require_id("id", text)
    except InvalidInput:
        return False
    return True


ids = st.text(min_size=1, max_size=240).filter(is_id)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def word_of(value: JsonValue) -> str:
    """Write any value in the form of a cursor."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def is_refused(word: str) -> bool:
    with pytest.raises(InvalidInput, match="is no cursor: pass the one that came with the page"):
        cursors.decode(word)
    return True


@given(at=moments, key=ids)
def test_a_place_comes_back_as_it_was_in_utc(at: datetime, key: str) -> None:
    place = cursors.decode(cursors.encode(Place(at, key)))
    assert place == Place(at, key)
    assert place.at.tzinfo is UTC


@given(at=moments, key=ids)
def test_a_cursor_is_one_plain_word(at: datetime, key: str) -> None:
    assert set(cursors.encode(Place(at, key))) <= WORD


@given(first=st.tuples(moments, ids), second=st.tuples(moments, ids))
def test_two_places_have_two_cursors(
    first: tuple[datetime, str], second: tuple[datetime, str]
) -> None:
    assume(first != second)
    assert cursors.encode(Place(*first)) != cursors.encode(Place(*second))


@given(st.text())
def test_a_text_that_no_listing_gave_is_refused(text: str) -> None:
    assert is_refused(text)


@given(values)
def test_what_only_has_the_form_of_a_cursor_is_refused(value: JsonValue) -> None:
    assert is_refused(word_of(value))


@pytest.mark.parametrize(
    "value",
    [
        [MOMENT.isoformat()],
        [MOMENT.isoformat(), "id", "more"],
        [MOMENT.replace(tzinfo=None).isoformat(), "id"],
        [MOMENT.timestamp(), "id"],
        ["0001-01-01T00:00:00+14:00", "id"],
        ["yesterday", "id"],
        [MOMENT.isoformat(), None],
        [MOMENT.isoformat(), 7],
        [MOMENT.isoformat(), ""],
        [MOMENT.isoformat(), "a\x00b"],
        [MOMENT.isoformat(), "kern:own"],
        [MOMENT.isoformat(), "x" * 241],
        {"at": MOMENT.isoformat(), "id": "id"},
    ],
)
def test_a_forged_place_is_refused(value: JsonValue) -> None:
    assert is_refused(word_of(value))


@pytest.mark.parametrize("depth", [1_000, 200_000])
def test_a_cursor_of_brackets_is_refused_however_deep(depth: int) -> None:
    assert is_refused(base64.urlsafe_b64encode(b"[" * depth).decode())


@pytest.mark.parametrize("extra", [" ", "\n", "é", "\x00", "!", "/", "+"])
def test_a_cursor_with_a_character_more_is_refused(extra: str) -> None:
    word = cursors.encode(Place(MOMENT, "id"))
    assert is_refused(word + extra)
    assert is_refused(extra + word)


@given(key=ids, data=st.data())
def test_a_cursor_that_was_cut_is_refused(key: str, data: st.DataObject) -> None:
    word = cursors.encode(Place(MOMENT, key))
    assert is_refused(word[: data.draw(st.integers(0, len(word) - 2))])


def test_a_place_is_ordered_by_its_time_and_then_its_id() -> None:
    later = MOMENT + timedelta(microseconds=1)
    assert Place(MOMENT, "b") < Place(later, "a") < Place(later, "b")
