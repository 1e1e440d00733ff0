r"""Texts in the fields of a form: what cannot be seen is written as an escape that can be deleted.

A field whose text has no such character holds the text as it is. Otherwise `\u200b` stands for the
character, and `\\` for a backslash. So a form changes no text by itself.
"""

import re

from kern.values.visible_text import misleading

_ESCAPE = re.compile(r"\\(?:\\|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_LARGEST_SHORT = 0xFFFF
# Ends of lines can be seen in a text area.
_LINE = "\n"


def needs_escapes(text: str) -> bool:
    """Whether a text cannot be shown in a field as it is."""
    return any(text[index] != _LINE for index in misleading(text))


def to_field(text: str) -> str:
    """Return what a field shows of a text."""
    if not needs_escapes(text):
        return text
    positions = misleading(text)
    return "".join(
        _escape(char) if char == "\\" or (index in positions and char != _LINE) else char
        for index, char in enumerate(text)
    )


def from_field(field_text: str, original: str) -> str:
    """Return the text that a field holds; `original` is the text that it was filled with."""
    text = field_text.replace("\r\n", _LINE)
    if not needs_escapes(original):
        return text
    return _ESCAPE.sub(_character, text)


def _escape(char: str) -> str:
    if char == "\\":
        return "\\\\"
    code = ord(char)
    return f"\\u{code:04x}" if code <= _LARGEST_SHORT else f"\\U{code:08x}"


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code is None:
        return "\\"
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else match[0]  # noqa: PLR2004  the last of Unicode
