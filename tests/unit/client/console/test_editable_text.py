"""A form changes no text by itself, and what cannot be seen can be deleted in it."""

from hypothesis import example, given
from hypothesis import strategies as st

from kern.client.console.editable_text import from_field, needs_escapes, to_field
from tests.support.shown_text import misread_in


@given(st.text())
@example("C:\\users\\u200b")
@example("\\u200b")
@example("\u200b\\u200b\\\\")
@example("a\r\nb\u2028c")
def test_a_text_comes_back_as_it_was(text: str) -> None:
    # Browsers send every end of a line as two characters.
    posted = to_field(text).replace("\n", "\r\n")
    assert from_field(posted, text) == text


@given(st.text())
@example("\x1f\U000104a0")
def test_a_field_holds_nothing_that_misleads(text: str) -> None:
    assert not misread_in(to_field(text), "\n")


def test_an_escape_can_be_deleted() -> None:
    text = "RMA-3391\u200b pallet"
    assert to_field(text) == "RMA-3391\\u200b pallet"
    assert from_field("RMA-3391 pallet", text) == "RMA-3391 pallet"


def test_a_plain_field_takes_what_is_typed() -> None:
    assert not needs_escapes("C:\\temp")
    assert to_field("C:\\temp") == "C:\\temp"
    assert from_field("C:\\u0041", "C:\\temp") == "C:\\u0041"
