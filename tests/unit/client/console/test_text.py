"""What a page shows of a text is what the text is, and never markup."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from pydantic import JsonValue

from kern.client.console.text import (
    digest_groups,
    heading,
    path_text,
    plain_text,
    row_call,
    short_label,
    visible,
    visible_call,
    visible_json,
)
from kern.values.visible_text import misleading
from tests.support.shown_text import misread_in

TAG = re.compile(r'<span class="(?:inv|mono)">|</span>|<wbr>')


def bare(markup: Markup) -> list[str]:
    """Return the texts between the tags that the console itself writes."""
    return [html.unescape(part) for part in TAG.split(str(markup))]


@given(st.text())
@example("\x1f\u0370")
@example("0" * 19 + "B\u0300")
def test_no_character_that_misleads_is_left(text: str) -> None:
    for part in bare(visible(text)):
        assert {part[index] for index in misleading(part)} <= {"\n", "\t"}
    for part in [*bare(heading(text)), str(plain_text(text)), *bare(visible_json(text))]:
        assert not misread_in(part, "\n\t")


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    for markup in (visible(text), heading(text), visible_json(text)):
        assert "<" not in TAG.sub("", str(markup))
        assert ">" not in TAG.sub("", str(markup))


@given(st.text(), st.text())
def test_different_arguments_are_shown_differently(first: str, second: str) -> None:
    assert (visible_json(first) == visible_json(second)) == (first == second)


def test_a_character_is_spelled_in_words() -> None:
    assert visible("RMA\u200b-1") == ('RMA<wbr><span class="inv">U+200B zero width space</span>-1')
    assert visible_json("\u041c\n\u043c") == "&#34;\u041c\\n\u043c&#34;"
    assert visible_json("a\nb") == "&#34;a\\nb&#34;"
    assert visible("a\nb") == "a\nb"


def test_what_is_spelled_already_is_not_spelled_again() -> None:
    text, _ = row_call("refund", {"note": "\u041c\n\u043c\u200b"}, 100)
    assert text == 'refund(note="\u041c\\n\u043c\\u200b")'
    assert plain_text(text) == text
    assert heading(text) == text.replace('"', "&#34;")


def test_a_heading_is_balanced_around_no_break() -> None:
    assert heading("Ref\u200bund") == '<span class="mono">Ref\\u200bund</span>'
    assert heading("Refund <b>") == "Refund &lt;b&gt;"


def test_a_call_shows_all_its_arguments() -> None:
    arguments: dict[str, JsonValue] = {"order": "1\u200b", "amount": 12.5}
    text = visible_call("refund", arguments)
    assert TAG.sub("", str(text)) == (
        "refund(order=&#34;1U+200B zero width space&#34;, amount=12.5)"
    )


@pytest.mark.parametrize(
    ("limit", "text", "missing"),
    [
        (160, 'refund(order="88", amount=5, note="late")', 0),
        (30, 'refund(order="88", amount=5, +1 more)', 1),
        (10, "refund(+3 more)", 3),
    ],
)
def test_a_row_leaves_arguments_out_whole(limit: int, text: str, missing: int) -> None:
    assert row_call("refund", {"order": "88", "amount": 5, "note": "late"}, limit) == (
        text,
        missing,
    )


def test_a_path_names_the_runs() -> None:
    assert path_text(["billing", "monthly", "pay"]) == "billing \u203a monthly"
    assert path_text([]) == ""
    assert path_text(["a \u203a b", "pay"]).startswith('"')


def test_labels_and_digests_are_cut_where_they_may_be() -> None:
    assert short_label("x" * 50) == "x" * 28 + "..."
    assert short_label("a\u200bb") == "a\\u200bb"
    assert digest_groups("0123456789abcdef") == "01234567 89abcdef"
