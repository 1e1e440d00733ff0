"""Spells values so that whoever reads them reads exactly what runs, character by character.

A terminal shows many different texts alike: it leaves characters out, joins them, draws blanks of
many kinds, and draws letters of one script like those of another. So values are shown as JSON in
which every character that could be misread is spelled out. A text that contains such a spelling
itself looks different: JSON doubles its backslash.

Sources: general categories and canonical forms by Python's `unicodedata`; mixed scripts after
https://www.unicode.org/reports/tr39/#Mixed_Script_Detection.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from kern.values.invisible import is_invisible

if TYPE_CHECKING:
    from pydantic import JsonValue

_QUOTE, _JSON_QUOTE = '"', '\\"'
_QUOTES = 2
_WORD = re.compile(r"\w+")
# Scripts with letters that look like those of another.
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
_LATIN_1 = 0x100
_CUT = "…[{} more characters]"
_CUT_ITEMS = "…[{} more]"


def spelled(text: str) -> str:
    """Return a text in which every character that could be misread is spelled out."""
    if text.isascii() and text.isprintable():
        return text
    is_composed = unicodedata.is_normalized("NFC", text)
    foreign = _foreign_letters(text)
    return "".join(
        _escape(char) if index in foreign or _misleads(char, is_composed=is_composed) else char
        for index, char in enumerate(text)
    )


def exact(value: "JsonValue") -> str:
    """Return a JSON value on one line, with nothing left out, joined or collapsed."""
    return spelled(json.dumps(value, ensure_ascii=False))


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


def _foreign_letters(text: str) -> set[int]:
    """Return where letters of another script stand in words with Latin ones."""
    foreign: set[int] = set()
    for word in _WORD.finditer(text):
        scripts = [_script(char) for char in word.group()]
        if "LATIN" in scripts:
            foreign.update(
                word.start() + index
                for index, script in enumerate(scripts)
                if script not in (None, "LATIN")
            )
    return foreign


@cache
def _script(char: str) -> str | None:
    first = unicodedata.name(char, "").partition(" ")[0]
    return first if first in _SCRIPTS else None
