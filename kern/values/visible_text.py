"""Spells values so that whoever reads them reads exactly what runs, character by character.

A terminal and a browser show many different texts alike: they leave characters out, join them, draw
blanks of many kinds, and draw letters of one script like those of another. So values are shown as
JSON in which every character that could be misread is spelled out. A text that contains such a
spelling itself looks different: JSON doubles its backslash.

Sources: general categories and canonical forms by Python's `unicodedata`; mixed scripts after
https://www.unicode.org/reports/tr39/#Mixed_Script_Detection.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from kern.values.invisible import is_invisible
from kern.values.misreadings import misread

if TYPE_CHECKING:
    from pydantic import JsonValue

_QUOTE, _JSON_QUOTE = '"', '\\"'
_QUOTES = 2
_LATIN_1 = 0x100
_CUT = "…[{} more characters]"
_CUT_ITEMS = "…[{} more]"
_LONGEST_NAME = 24
# An escape as JSON, or this module, writes it: its letters are no part of the word beside it.
_WRITTEN_ESCAPE = re.compile(r'\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|["\\/bfnrt])')
# What no name says of a character that has none.
_KINDS = {
    "Cc": "control character",
    "Cs": "lone surrogate",
    "Co": "private use",
    "Cn": "unassigned",
}


@dataclass(frozen=True)
class Piece:
    """A part of a text: some characters that read as what they are, or one that does not.

    Attributes:
        text: The characters themselves.
        spelling: Of a character that could be misread, what to show in its place, such as `U+200B
            zero width space`; None for all others.
    """

    text: str
    spelling: str | None = None


def misleading(text: str, *, is_escaped: bool = False) -> frozenset[int]:
    r"""Return the positions of the characters of a text that could be misread.

    In a text that `is_escaped`, such as JSON, a backslash begins an escape. The `n` of a `\n` is no
    letter of the word that follows, which would be of two scripts if it were.
    """
    if text.isascii() and text.isprintable():
        return frozenset()
    is_composed = unicodedata.is_normalized("NFC", text)
    foreign = misread(_WRITTEN_ESCAPE.sub(_blank, text) if is_escaped else text)
    positions: set[int] = set()
    for index, char in enumerate(text):
        # The mark of a character that is spelled out would be drawn over its spelling.
        is_on_spelling = index - 1 in positions and unicodedata.category(char)[0] == "M"
        if is_on_spelling or index in foreign or _misleads(char, is_composed=is_composed):
            positions.add(index)
    return frozenset(positions)


def spelled(text: str, keep: str = "", *, is_escaped: bool = False) -> str:
    """Return a text in which every character that could be misread is spelled out.

    Those in `keep` stay: where lines are drawn as lines, their ends can be seen.
    """
    positions = misleading(text, is_escaped=is_escaped)
    return "".join(
        _escape(char) if index in positions and char not in keep else char
        for index, char in enumerate(text)
    )


def pieces(text: str, keep: str = "", *, is_escaped: bool = False) -> Iterator[Piece]:
    """Yield a text in parts, with a name for each character that could be misread."""
    start = 0
    for index in sorted(misleading(text, is_escaped=is_escaped)):
        if text[index] in keep:
            continue
        if start < index:
            yield Piece(text[start:index])
        yield Piece(text[index], character_name(text[index]))
        start = index + 1
    if start < len(text):
        yield Piece(text[start:])


def character_name(char: str) -> str:
    """Return a character's number and name, in ASCII, such as `U+200B zero width space`.

    Of a long name the last words are left out: the number alone says which character it is.
    """
    name = unicodedata.name(char, _KINDS.get(unicodedata.category(char), "character"))
    words = [f"U+{ord(char):04X}", *name.lower().split(" ")]
    while len(" ".join(words)) > _LONGEST_NAME:
        words.pop()
    return " ".join(words)


def exact(value: "JsonValue") -> str:
    """Return a JSON value on one line, with nothing left out, joined or collapsed."""
    return spelled(json.dumps(value, ensure_ascii=False), is_escaped=True)


def plain(text: str, signs: str = "") -> str:
    """Return a text as it is if it can be misread for no other, else as JSON.

    `signs` are characters with which what stands around the text is built: a text that has any of
    them is shown as JSON too.
    """
    spelling = exact(text)
    is_plain = (
        spelling == f'"{text.replace(_QUOTE, _JSON_QUOTE)}"'
        and text == text.strip()
        and text[:1] not in {"", _QUOTE}
        and "  " not in text
        and not any(sign in text for sign in signs)
    )
    return text if is_plain else spelling


def shortened(value: "JsonValue", limit: int) -> str:
    """Return a JSON value of about `limit` characters, which says what it leaves out."""
    whole = exact(value)
    if len(whole) <= limit + (_QUOTES if isinstance(value, str) else 0):
        return whole
    if isinstance(value, str):
        head = value[:limit]
        while head and len(exact(head)) > limit + _QUOTES:
            head = head[:-1]
        # Outside the quotes, where no text of a value can stand.
        return f"{exact(head)}{_CUT.format(len(value) - len(head))}"
    if isinstance(value, list):
        return _first_items([shortened(item, limit // 2) for item in value], limit, "[", "]")
    if isinstance(value, dict):
        pairs = [f"{exact(key)}: {shortened(item, limit // 2)}" for key, item in value.items()]
        return _first_items(pairs, limit, "{", "}")
    return f"{whole[:limit]}{_CUT.format(len(whole) - limit)}"


def call_text(
    name: str | None, arguments: "Mapping[str, JsonValue]", *, limit: int | None = None
) -> str:
    """Return a call as it would be written; `limit` shortens each value, and never the call."""
    parameters = ", ".join(
        f"{spelled(key)}={exact(value) if limit is None else shortened(value, limit)}"
        for key, value in arguments.items()
    )
    return f"{spelled(name or '')}({parameters})"


def _first_items(items: Sequence[str], limit: int, opening: str, closing: str) -> str:
    texts: list[str] = []
    length = 0
    for item in items:
        if texts and length + len(item) > limit:
            texts.append(_CUT_ITEMS.format(len(items) - len(texts)))
            break
        texts.append(item)
        length += len(item)
    return f"{opening}{', '.join(texts)}{closing}"


def _blank(escape: re.Match[str]) -> str:
    return " " * len(escape[0])


def _escape(char: str) -> str:
    return ascii(char)[1:-1] if not char.isascii() or not char.isprintable() else char


@cache
def _misleads(char: str, *, is_composed: bool) -> bool:
    if char.isascii():
        return not char.isprintable()
    category = unicodedata.category(char)
    return (
        category[0] == "Z"
        or is_invisible(char)
        # Another spelling of the same letters is drawn alike.
        or (not is_composed and category[0] == "M")
        or unicodedata.normalize("NFC", char) != char
        or (ord(char) >= _LATIN_1 and unicodedata.normalize("NFKC", char).isascii())
    )
