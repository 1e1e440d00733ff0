"""Invisible characters: what is drawn as nothing, and nothing that is drawn."""

import pytest

from kern.values.invisible import first_invisible, is_invisible

# Blank, though Unicode counts them as symbols, letters and marks.
BLANKS = ["\U0001d159", "\U00013441", "\U0001bc9d", "\U00016fe4", "\u2d7f", "\U0001107f"]


@pytest.mark.parametrize(
    "char", ["\ufe0f", "\u034f", "\u115f", "\u3164", "\u2800", "\x00", "\n", *BLANKS]
)
def test_what_is_drawn_as_nothing_is_invisible(char: str) -> None:
    assert is_invisible(char)
    assert first_invisible(f"ab{char}c\u200b") == char


@pytest.mark.parametrize("text", ["Dana Smith", "\u00e9e\u0301", "a\u00a0b", "\u2801\ud55c\u1100"])
def test_what_is_drawn_is_visible(text: str) -> None:
    assert first_invisible(text) is None
