"""Characters of a text that a reader takes for others: whoever shows the text spells them out."""

import itertools
import re
import unicodedata
from collections.abc import Iterator

from kern.values.look_alikes import ascii_look
from kern.values.scripts import LATIN, mixed_scripts, script_of

# Alphabets in which many letters look like Latin ones.
_ALPHABETS = frozenset({"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LISU"})
# Ordinary marks of prose, whose look nobody mistakes.
_PROSE = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u02bb\u02bc\u2013\u2014\u2039\u203a\u00d7\u221e\u2030"
)
# A small i without a dot is read as one, save where the text is in a language that has both.
_DOTLESS_I = "\u0131"
_TURKIC = re.compile("[\u011e\u011f\u0130\u015e\u015f\u018f\u0259]")
_JOINTS = ".,"


def misread(text: str) -> set[int]:
    """Return where a text has characters that a reader takes for others.

    They are letters of another script than the rest of their word, digits of another kind, letters
    that look like the digits beside them, Latin letters and signs drawn like those of ASCII, and
    marks over what is no letter.
    """
    if text.isascii():
        return set()
    places = {
        start + place
        for start, word in _words(text)
        if not word.isascii()
        for place in (*_foreign_letters(word), *_odd_digits(word), *_odd_marks(word))
    }
    scripts = {script_of(char) for place, char in enumerate(text) if place not in places}
    has_both = _TURKIC.search(text) is not None
    places.update(
        place
        for place, char in enumerate(text)
        if _is_drawn_as_ascii(char, scripts) and not (char == _DOTLESS_I and has_both)
    )
    return places


def _is_drawn_as_ascii(char: str, scripts: set[str | None]) -> bool:
    if char.isascii() or char in _PROSE:
        return False
    script = script_of(char)
    if script == LATIN and "SMALL CAPITAL" in unicodedata.name(char):
        return True
    if ascii_look(char) is None or unicodedata.category(char)[0] == "N":
        return False
    if script is not None:
        return script == LATIN
    # The punctuation of a script is that of texts in it.
    return unicodedata.name(char, "").partition(" ")[0] not in scripts


def _foreign_letters(word: str) -> Iterator[int]:
    """Yield where letters and marks are of another script than the word."""
    if not mixed_scripts(word):
        return
    base = None
    for place, char in enumerate(word):
        script = script_of(char)
        is_mark = unicodedata.category(char)[0] == "M"
        # Where words follow each other with no blank, Latin ones stand beside others.
        is_like_latin = script in _ALPHABETS or ascii_look(char) is not None
        if script not in {None, LATIN} and (script != base if is_mark else is_like_latin):
            yield place
        if not is_mark:
            base = script


def _odd_digits(word: str) -> Iterator[int]:
    """Yield where digits are of another kind than the others, and letters that look like them."""
    digits = [char for char in word if unicodedata.category(char) == "Nd"]
    zeros = {ord(char) - unicodedata.decimal(char) for char in digits}
    letters = [char for char in word if script_of(char) is not None]
    # Beside a digit of ASCII, letters that all look like ASCII are read as that.
    is_code = ord("0") in zeros and all(
        char.isascii() or ascii_look(char) is not None for char in letters
    )
    for place, char in enumerate(word):
        is_odd = len(zeros) > 1 if char in digits else is_code and char in letters
        if is_odd and not char.isascii():
            yield place


def _odd_marks(word: str) -> Iterator[int]:
    """Yield where a mark is over no letter, or around one."""
    previous = ""
    for place, char in enumerate(word):
        category = unicodedata.category(char)
        if category == "Me" or (category[0] == "M" and previous not in {"L", "M"}):
            yield place
        else:
            previous = category[0]


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield where words begin, and the words; a point or a comma beside a digit is part of one."""
    place = 0
    for is_word, group in itertools.groupby(_are_parts(text)):
        length = sum(1 for _ in group)
        if is_word:
            yield place, text[place : place + length]
        place += length


def _are_parts(text: str) -> list[bool]:
    kinds = ["" if char == "_" else unicodedata.category(char)[0] for char in text]
    return [
        kind in {"", "L", "M", "N"}
        or (char in _JOINTS and "N" in around and set(around) <= {"L", "M", "N"})
        for char, kind, *around in zip(text, kinds, ["Z", *kinds], [*kinds[1:], "Z"], strict=False)
    ]
