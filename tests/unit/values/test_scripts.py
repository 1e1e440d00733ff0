"""Scripts of characters and of words."""

import pytest

from kern.values.scripts import mixed_scripts, script_of


@pytest.mark.parametrize(
    ("char", "script"),
    [
        ("a", "LATIN"),
        ("\u00e9", "LATIN"),
        ("\u0430", "CYRILLIC"),
        ("\u0483", "CYRILLIC"),  # a combining mark
        ("\u5c71", "CJK"),
        ("\u3005", "CJK"),  # an iteration mark
        ("\u30fc", "KATAKANA"),
        ("\U00010300", "OLD ITALIC"),
        ("\U00010a60", "OLD SOUTH"),
        ("\u0301", None),
        ("\u02bc", None),
        ("7", None),
        ("\u0667", None),
        ("-", None),
        ("\ue000", None),
    ],
)
def test_letters_and_marks_are_of_a_script(char: str, script: str | None) -> None:
    assert script_of(char) == script


@pytest.mark.parametrize(
    "word",
    ["", "dana", "7", "a\u0301-7", "\u7530\u4e2d\u3055\u3093", "\u30bf\u30caDana", "\uae40\u5c71"],
)
def test_words_that_languages_have_mix_no_scripts(word: str) -> None:
    assert mixed_scripts(word) == []


@pytest.mark.parametrize(
    ("word", "scripts"),
    [
        ("d\u0430na", ["CYRILLIC", "LATIN"]),
        ("\u0430\u03bd", ["CYRILLIC", "GREEK"]),
        ("da\u2d4fa", ["LATIN", "TIFINAGH"]),
        ("\u3055\uae40", ["HANGUL", "HIRAGANA"]),
        ("dana\u05bf", ["HEBREW", "LATIN"]),
    ],
)
def test_other_words_do(word: str, scripts: list[str]) -> None:
    assert mixed_scripts(word) == scripts
