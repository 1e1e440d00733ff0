"""What a person is shown is what runs: texts that differ are shown differently."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.values.visible_text import (
    call_text,
    exact,
    misleading,
    pieces,
    plain,
    shortened,
    spelled,
)
from tests.support.shown_text import misread_in

ALIKE = [
    ("acct-1", "acct-\u200b1"),
    ("dana@example.com", "dana@exam\u2060ple.com"),
    ("DE021001", "DE02\u00ad1001"),
    ("approve", "approve\U000e0069\U000e0067"),
    ("pay", "pay\ufe0f"),
    ("rm -r /a b", "rm -r /a  b"),
    ("a b", "a\u00a0b"),
    ("a b", "a\u3000b"),
    ("a b", "a\u2003b"),
    ("ab", "a\u2800b"),
    ("ab", "a\u3164b"),
    ("ab", "a\u115fb"),
    ("100", "\u202e001"),
    ("caf\u00e9", "cafe\u0301"),
    ("\u00c5", "\u212b"),
    ("paypal", "p\u0430yp\u0430l"),
    ("IBAN", "\u0399BAN"),
    ("100", "\uff11\uff10\uff10"),
    ("pay", "\U0001d429ay"),
    ("a", "a\x7f"),
    ("a", "a\x1b[2J"),
    ("a", "a\n"),
    ("\u200b", "\\u200b"),
    ("a", "a\ud800"),
    ("Paypal", "\ua4d1aypal"),  # Lisu
    ("dana", "\u146fana"),  # Canadian syllabics
    ("pay", "pa\u2d4fy"),  # Tifinagh
    ("ok", "\U0001042ck"),  # Deseret
    ("com", "c\u0585m"),  # Armenian
    ("av", "\u0430\u03bd"),  # Cyrillic and Greek
    ("100", "1\u041e0"),
    ("100", "1\u03bf0"),
    ("0.5", "\u041e.5"),
    ("A123BC", "\u0410123\u0412\u0421"),
    ("100", "1\u0ce60"),  # a zero of Kannada
    ("10", "\u0661\u06f0"),  # Arabic and Persian digits
    ("mallory", "m\u0251llory"),
    ("gina", "\u0261ina"),
    ("list", "l\u0131st"),
    ("pay", "\u1d18ay"),
    ("1-2", "1\u22122"),
    ("1-2", "1\u20112"),
    ("ann-lee", "ann\u2010lee"),
    ("a/b", "a\u2215b"),
    ("a:b", "a\ua789b"),
    ("1:2", "1\u05892"),  # punctuation of Armenian
    ("a'b", "a\u02b9b"),
    ("a b", "a\u1680b"),
    ("pay", "pa\U0001d159y"),
    ("pay", "pa\U0001bc9dy"),
    ("ab", "a\U00016fe4b"),
    ("pay", "pa\u05bfy"),  # a mark of Hebrew
    ("100", "1\u033800"),
    ("100", "1\u20dd00"),
]


@pytest.mark.parametrize(("plain", "other"), ALIKE, ids=ascii)
def test_texts_that_look_alike_are_told_apart(plain: str, other: str) -> None:
    shown = exact(other)
    assert shown != exact(plain)
    # What is special about it is spelled in what everybody sees.
    assert shown.isascii() or plain == "caf\u00e9"


@pytest.mark.parametrize(
    "text",
    [
        "Straße 5",
        "Überweisung",
        "Привет",
        "日本語",
        "naïve",
        "हिन्दी",
        "ไทย",
        "Ελλάδα",
        "m² 5 €",
        "🎉",
        "Don\u2019t pay “now” \u2013 wait — it\u2019s €5\xd73",
        "kal\u0131c\u0131 değişiklik",
        "отчёт.pdf",
        "USB\u30ceート",
        "Kernคือ",
        "Д\u043eм5",
        "\u0661\u0660\u0660",
        "п\u2019ять пʼять",
        "שלום עולם: 5",
        "تم الدفع\u06d4",
        "Ẹ́kọ́",
        "a½ 3²",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert unicodedata.is_normalized("NFC", text)
    assert spelled(text) == text


@pytest.mark.parametrize(
    ("end", "shown"),
    [("\n", "\\n"), ("\t", "\\t"), ("\r\n", "\\r\\n"), ('"', '\\"'), ("\x1f", "\\u001f")],
    ids=ascii,
)
@pytest.mark.parametrize("word", ["Привет", "Ελλάδα", "עולם", "日本語"])
def test_an_escape_is_no_part_of_the_word_beside_it(word: str, end: str, shown: str) -> None:
    assert exact(f"{word}{end}{word}") == f'"{word}{shown}{word}"'


def test_a_backslash_of_the_text_begins_no_escape() -> None:
    assert exact("\\n\u043c") == '"\\\\n\\u043c"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("p\u0430\u0301ypal", "p\\u0430\\u0301ypal"),
        ("\u200b\u0301", "\\u200b\\u0301"),
    ],
    ids=ascii,
)
def test_a_mark_is_drawn_over_no_spelling(text: str, shown: str) -> None:
    assert spelled(text) == shown


@given(st.text())
@example("\x1f\u0370")
@example("\\\x1f\u0370")
@example("p\u0430\u0301ypal")
@example("\u0416\u034f\u0301")
def test_nothing_that_misleads_is_left(text: str) -> None:
    assert not misleading(exact(text), is_escaped=True)
    assert not misread_in(spelled(text))


@given(st.text(), st.text())
def test_different_texts_are_shown_differently(first: str, second: str) -> None:
    assert (exact(first) == exact(second)) == (first == second)


@given(st.text())
def test_nothing_that_is_shown_is_invisible(text: str) -> None:
    for char in exact(text):
        assert unicodedata.category(char)[0] != "C"
        assert char == " " or unicodedata.category(char)[0] != "Z"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1), values, max_size=6), st.integers(20, 60))
def test_a_shortened_call_names_every_argument(arguments: dict[str, JsonValue], limit: int) -> None:
    text = call_text("pay", arguments, limit=limit)
    for name, value in arguments.items():
        assert f"{spelled(name)}={shortened(value, limit)}" in text
    assert text.endswith(")")


def test_what_is_cut_is_said() -> None:
    assert shortened("x" * 100, 20) == '"' + "x" * 20 + '"…[80 more characters]'
    numbers: list[JsonValue] = [1] * 100
    assert shortened(numbers, 20).endswith("more]]")
    assert "more" in shortened({str(n): n for n in range(50)}, 20)
    assert shortened("short", 20) == '"short"'


@given(st.text(), st.integers(0, 60))
def test_what_is_cut_is_counted(text: str, limit: int) -> None:
    kept, mark, rest = shortened(text, limit).rpartition('"…[')
    if not mark:
        assert rest == exact(text)
        return
    cut = int(rest.removesuffix(" more characters]"))
    assert cut > 0
    assert f'{kept}"' == exact(text[: len(text) - cut])
    assert len(kept) <= limit + 1


@pytest.mark.parametrize(
    "text", ["yes", "Which colour?", "don't", 'say "hi"', "Straße 5 €", "a | b"]
)
def test_plain_texts_have_no_quotes(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", ["", " yes", "yes ", "a  b", "y\ne", "yes\u200b", '"yes"', "a\\b"])
def test_what_could_be_misread_has_quotes(text: str) -> None:
    assert plain(text) == exact(text)


def test_what_looks_like_what_stands_around_it_has_quotes() -> None:
    assert plain("a | b", "|") == '"a | b"'


@given(st.text(), st.text())
def test_different_texts_are_different_with_or_without_quotes(first: str, second: str) -> None:
    assert (plain(first) == plain(second)) == (first == second)


def test_a_long_text_in_one_argument_hides_no_other() -> None:
    arguments: dict[str, JsonValue] = {"account": "DE02 " + "." * 500, "amount": 1e6, "to": "mal"}
    text = call_text("transfer", arguments, limit=40)
    assert text.endswith('amount=1000000.0, to="mal")')
    assert json.dumps("mal") in call_text("transfer", arguments)


@given(st.text())
def test_pieces_lose_no_character_and_name_those_that_mislead(text: str) -> None:
    parts = list(pieces(text))
    assert "".join(part.text for part in parts) == text
    names = [part.spelling for part in parts if part.spelling is not None]
    assert len(names) == len(misleading(text))
    assert all(name.isascii() and name.startswith("U+") for name in names)


def test_a_character_is_named_as_unicode_names_it() -> None:
    parts = list(pieces("RMA\u200b-1\x1b\ud800"))
    assert [part.spelling for part in parts] == [
        None,
        "U+200B zero width space",
        None,
        "U+001B control character",
        "U+D800 lone surrogate",
    ]


def test_ends_of_lines_are_kept_where_lines_are_drawn() -> None:
    assert spelled("a\nb\u200b", keep="\n") == "a\nb\\u200b"
    assert [part.text for part in pieces("a\nb", keep="\n")] == ["a\nb"]
