"""Bounds: what an edit may change, compared exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.errors import InvalidDefinition
from kern.values.bounds import Bounds, number_of, out_of_range, stricter_bounds, violation

limits = st.none() | st.integers(0, 3) | st.sampled_from([0.5, 2.5])


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    low, high = draw(limits), draw(limits)
    if low is not None and high is not None and low > high:
        low, high = high, low
    return Bounds(
        only=draw(st.sampled_from([None, "down", "up"])),
        at_least=low,
        at_most=high,
        one_of=draw(st.none() | st.lists(st.integers(0, 3), min_size=1, unique=True)),
        max_length=draw(st.none() | st.integers(0, 3)),
    )


maps = st.none() | st.dictionaries(st.sampled_from("abc"), bounds())


@pytest.mark.parametrize(
    ("limit", "value", "before", "word"),
    [
        (Bounds(only="down"), 11, 10, "only"),
        (Bounds(only="down"), "10.01", "10.00", "only"),
        (Bounds(only="up"), 9.99, 10, "only"),
        (Bounds(only="down"), "much", 10, "number"),
        (Bounds(only="down"), 1, "much", "only"),
        (Bounds(only="down"), True, 10, "number"),
        (Bounds(at_least=1), 0.999, 5, "at_least"),
        (Bounds(at_most=0.1), "0.1000000000000000001", 0, "at_most"),
        (Bounds(one_of=["EUR", "USD"]), "eur", "EUR", "one_of"),
        (Bounds(one_of=[1]), True, 1, "one_of"),
        (Bounds(max_length=3), "four", "", "max_length"),
        (Bounds(max_length=3), 4, "", "max_length"),
    ],
)
def test_a_violation_names_the_argument_the_bound_and_the_value(
    limit: Bounds, value: JsonValue, before: JsonValue, word: str
) -> None:
    problem = violation({"x": limit}, "x", value, before)
    assert problem is not None
    assert problem.startswith("x ")
    assert word in problem
    assert str(value).casefold() in problem.casefold()


@pytest.mark.parametrize(
    ("limit", "value", "before"),
    [
        (Bounds(), {"any": ["thing"]}, 1),
        (Bounds(only="down"), 10, 10.0),
        (Bounds(only="down"), "9.99", 10),
        (Bounds(only="up"), 11, 10),
        (Bounds(at_least=1, at_most=2), 1.5, 0),
        (Bounds(one_of=[10, 20]), 10.0, 20),
        (Bounds(max_length=3), "abc", ""),
    ],
)
def test_what_keeps_to_the_bounds_is_no_violation(
    limit: Bounds, value: JsonValue, before: JsonValue
) -> None:
    assert violation({"x": limit}, "x", value, before) is None


def test_an_argument_without_bounds_may_not_be_edited_beside_one_that_has_some() -> None:
    problem = violation({"note": Bounds()}, "amount", 1, 2)
    assert problem is not None
    assert "amount may not be edited" in problem
    assert "note" in problem


def test_what_is_filled_in_has_no_direction() -> None:
    assert out_of_range(Bounds(only="down"), "x", 11) is None
    assert "at_most" in (out_of_range(Bounds(only="down", at_most=10), "x", 11) or "")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"only": "sideways"}, "sideways"),
        ({"at_least": 2, "at_most": 1}, "at_least"),
        ({"at_most": float("nan")}, "at_most"),
        ({"at_most": True}, "at_most"),
        ({"one_of": []}, "one_of"),
        ({"one_of": "EUR"}, "EUR"),
        ({"max_length": -1}, "max_length"),
        ({"most": 1}, "most"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidDefinition, match=word):
        Bounds(**options)  # type: ignore[arg-type]


@given(maps, maps, maps)
def test_the_stricter_bounds_are_a_join(
    first: dict[str, Bounds] | None,
    second: dict[str, Bounds] | None,
    third: dict[str, Bounds] | None,
) -> None:
    def join(
        one: dict[str, Bounds] | None, other: dict[str, Bounds] | None
    ) -> dict[str, Bounds] | None:
        return stricter_bounds(one, other)

    assert join(first, first) == first
    assert join(first, second) == join(second, first)
    assert join(join(first, second), third) == join(first, join(second, third))


@given(bounds(), bounds(), st.integers(0, 4) | st.sampled_from(["", "ab", "abcd"]), limits)
def test_what_the_join_allows_both_allow(
    first: Bounds, second: Bounds, value: JsonValue, before: JsonValue
) -> None:
    joined = stricter_bounds({"x": first}, {"x": second}) or {}
    if violation(joined, "x", value, before) is None:
        assert violation({"x": first}, "x", value, before) is None
        assert violation({"x": second}, "x", value, before) is None


@pytest.mark.parametrize("value", [True, None, "", "1e3", "12,5", "٣", [], {}])
def test_what_is_written_otherwise_is_no_number(value: JsonValue) -> None:
    assert number_of(value) is None
