"""Times are shown as people read them, and a duration never rounds up towards a deadline."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.client.console.times import due_element, length, moment, time_element, until

NOW = datetime(2026, 11, 26, 14, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 11, 26, 9, 2, 5, tzinfo=UTC), "9:02"),
        (datetime(2026, 11, 28, 17, 0, tzinfo=UTC), "28 Nov, 17:00"),
        (datetime(2027, 1, 2, 7, 0, tzinfo=UTC), "2 Jan 2027, 7:00"),
        (datetime.fromisoformat("2026-11-27T00:30:00+02:00"), "22:30"),
    ],
)
def test_a_moment_names_its_day_only_if_it_is_another(at: datetime, text: str) -> None:
    assert moment(at, NOW) == text


def test_an_element_is_absolute_without_the_script() -> None:
    at = NOW + timedelta(minutes=40)
    assert time_element(at, NOW, relative=True, zone=True) == (
        '<time datetime="2026-11-26T15:00:12Z" data-rel>15:00 UTC</time>'
    )
    assert due_element(at, NOW) == '<time datetime="2026-11-26T15:00:12Z" data-rel>in 40 min</time>'
    assert time_element(at, NOW, seconds=True, classes="end") == (
        '<time class="end" datetime="2026-11-26T15:00:12Z">15:00:12</time>'
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "0.8 s"),
        (59.9, "59 s"),
        (221, "3 min 41 s"),
        (18_960, "5 h 16 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_has_two_units(seconds: float, text: str) -> None:
    assert length(timedelta(seconds=seconds)) == text


@given(st.integers(0, 10**7))
def test_what_is_left_is_never_longer_than_it_is(seconds: int) -> None:
    text = until(NOW + timedelta(seconds=seconds), NOW)
    if text == "now":
        assert seconds == 0
        return
    _, number, unit = text.split()
    size = {"d": 86400, "h": 3600, "min": 60, "s": 1}[unit]
    assert int(number) * size <= seconds < (int(number) + 1) * size
