"""Look-alikes: what is drawn alike is found, in whatever case it is written."""

import unicodedata

import pytest

from kern.values.look_alikes import ascii_look, looks_alike


@pytest.mark.parametrize(
    ("text", "other"),
    [("bill", "BiII"), ("\u0440\u0430\u0443", "pay"), ("\u039f\u039a", "ok"), ("10", "lO")],
)
def test_what_is_drawn_alike_looks_alike(text: str, other: str) -> None:
    assert looks_alike(text, other)
    assert looks_alike(other, text)


@pytest.mark.parametrize(("text", "other"), [("Ian", "Lan"), ("pay", "say"), ("", "a")])
def test_what_is_drawn_otherwise_does_not(text: str, other: str) -> None:
    assert not looks_alike(text, other)


def test_the_look_of_a_character_is_one_of_ascii() -> None:
    assert ascii_look("\u0430") == "a"
    assert ascii_look("\u2011") == "-", "a compatible form of a hyphen"
    assert ascii_look("\u0436") is None
    assert ascii_look("\u00e6") is None, "it is drawn like two"
    assert ascii_look(unicodedata.lookup("CYRILLIC CAPITAL LETTER O")) == "O"
