"""Lengths of time on the command line."""

from datetime import timedelta

import pytest

from kern.client.cli.walk.query import InboxQuery, length_of
from kern.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("4h", timedelta(hours=4)),
        ("30min", timedelta(minutes=30)),
        ("30m", timedelta(minutes=30)),
        ("2 d", timedelta(days=2)),
        ("90S", timedelta(seconds=90)),
    ],
)
def test_a_length_is_read(text: str, length: timedelta) -> None:
    assert length_of(text) == length


@pytest.mark.parametrize("text", ["", "4", "h", "-4h", "4.5h", "4 weeks", "9999999d"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="30min, 4h or 2d"):
        length_of(text)


def test_whose_decisions_they_are_is_said_in_words() -> None:
    assert InboxQuery().scope == "all"
    assert InboxQuery(person="da\u200bna").scope == 'for "da\\u200bna"'
