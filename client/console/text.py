"""How pages write text that came from models, tools and users: spelled out, and never as markup.

Everything that a template writes passes through `plain_text`, which is safe in an element and in an
attribute. Where a template asks for it, and only inside elements, the characters that could be
misread stand out as elements of their own.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from kern.values.visible_text import call_text, exact, misleading, pieces, plain, spelled

if TYPE_CHECKING:
    from pydantic import JsonValue

# Pages keep the ends of lines, and tabs in code.
_LINES = "\n\t"
_LONGEST_LABEL = 28
_ARROW = " \u203a "
_SPELLING = Markup('<span class="inv">{}</span>')
_ESCAPED = Markup('<span class="mono">{}</span>')
# Lines may be broken before it, and inside long words: no text widens a page.
_BREAK = Markup("<wbr>")
_LONG_WORD = re.compile(r"\S{20}(?=\S)")


def plain_text(value: object) -> object:
    """Return what a template writes: a text with every character spelled out, anything else as is.

    Markup is what this module and the templates have made, and stays. A text may hold spellings
    already, as calls and titles do.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return spelled(value, keep=_LINES, is_escaped=True)


def visible(text: str) -> Markup:
    """Return a text for the inside of an element, where what misleads stands out."""
    return _marked(text, _LINES)


def heading(text: str) -> Markup:
    """Return a text for the inside of a heading; what misleads is written as an escape.

    The browser balances the lines of headings, and Chromium has crashed while it did so around what
    `visible` writes.
    """
    escaped = spelled(text, is_escaped=True)
    return _ESCAPED.format(escaped) if escaped != text else escape(text)


def visible_json(value: "JsonValue") -> Markup:
    """Return a JSON value on one line for the inside of an element, complete."""
    return _marked(json.dumps(value, ensure_ascii=False), "", is_escaped=True)


def spelled_count(arguments: "Mapping[str, JsonValue]") -> int:
    """Return how many characters of some arguments could be misread."""
    return len(misleading(json.dumps(dict(arguments), ensure_ascii=False), is_escaped=True))


def visible_call(name: str, arguments: "Mapping[str, JsonValue]") -> Markup:
    """Return a call with all its arguments for the inside of an element."""
    parameters = [
        Markup("{}={}").format(_marked(key, ""), visible_json(value))
        for key, value in arguments.items()
    ]
    return Markup("{}({})").format(_marked(name, ""), Markup(", ").join(parameters))


def row_call(name: str, arguments: "Mapping[str, JsonValue]", limit: int) -> tuple[str, int]:
    """Return a call on one row, and how many of its arguments did not fit there.

    Arguments are left out whole: none of them is cut.
    """
    fitting: dict[str, JsonValue] = {}
    for key, value in arguments.items():
        if len(call_text(name, {**fitting, key: value})) > limit:
            break
        fitting[key] = value
    missing = len(arguments) - len(fitting)
    if not missing:
        return call_text(name, fitting), 0
    inner = "".join(f"{spelled(key)}={exact(value)}, " for key, value in fitting.items())
    return f"{spelled(name)}({inner}+{missing} more)", missing


def short_label(text: str) -> str:
    """Return a text as a label that is no part of a decision, cut where it is long."""
    line = " ".join(spelled(text).split())
    return line if len(line) <= _LONGEST_LABEL else f"{line[:_LONGEST_LABEL]}..."


def path_text(path: Sequence[str]) -> str:
    """Return where a call came up: the names of its runs, without that of its tool."""
    return _ARROW.join(plain(name, _ARROW) for name in path[:-1])


def digest_groups(digest: str) -> str:
    """Return a digest in groups of eight characters."""
    return " ".join(digest[start : start + 8] for start in range(0, len(digest), 8))


def grouped(number: float) -> str:
    """Return a number with its thousands grouped."""
    return f"{number:,}"


def _marked(text: str, keep: str, *, is_escaped: bool = False) -> Markup:
    return Markup("").join(
        _breakable(piece.text)
        if piece.spelling is None
        else _BREAK + _SPELLING.format(piece.spelling)
        for piece in pieces(text, keep, is_escaped=is_escaped)
    )


def _breakable(text: str) -> Markup:
    parts: list[str] = []
    start = 0
    for word in _LONG_WORD.finditer(text):
        # A mark stays with its letter.
        if unicodedata.category(text[word.end()])[0] != "M":
            parts.append(text[start : word.end()])
            start = word.end()
    return _BREAK.join([*parts, text[start:]])
