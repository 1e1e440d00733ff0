"""The scripts in which texts are written, and words that mix them.

A script is known by how Unicode names its letters. The sets that people write in one word are those
of https://www.unicode.org/reports/tr39/#Restriction_Level_Detection ("highly restrictive").
"""

import unicodedata
from functools import cache

LATIN = "LATIN"
_HAN = "CJK"
_TOGETHER = (
    frozenset({LATIN, _HAN, "HIRAGANA", "KATAKANA"}),
    frozenset({LATIN, _HAN, "BOPOMOFO"}),
    frozenset({LATIN, _HAN, "HANGUL"}),
)
# Names that begin otherwise than those of the other letters of their script.
_OTHER_NAMES = {
    "IDEOGRAPHIC": _HAN,
    "HANGZHOU": _HAN,
    "VIETNAMESE": _HAN,
    "HENTAIGANA": "HIRAGANA",
    "ROMAN": LATIN,
}
# Letters and marks of no script.
_COMMON = frozenset({"MODIFIER", "SUPERSCRIPT", "MATHEMATICAL", "VARIATION"})
# Scripts whose names have two words.
_SHARED = frozenset({"INSCRIPTIONAL", "LINEAR", "MEROITIC", "OLD", "TAI"})
# Of the combining marks, those are of a script.
_MARKED = frozenset({"CYRILLIC", "DEVANAGARI", "GLAGOLITIC", "GRANTHA", "OLD"})


@cache
def script_of(char: str) -> str | None:
    """Return the script of a letter or a mark; None of what several scripts share."""
    if unicodedata.category(char)[0] not in "LM":
        return None
    first, *rest = unicodedata.name(char, "").replace("-", " ").split(" ") or [""]
    if first == "COMBINING":
        return next((word for word in rest[:1] if word in _MARKED), None)
    if first in _SHARED:
        return " ".join((first, *rest[:1]))
    return None if first in _COMMON else _OTHER_NAMES.get(first, first)


def mixed_scripts(word: str) -> list[str]:
    """Return the scripts of a word that no language writes in one word; nothing if one does."""
    scripts = {script for char in word if (script := script_of(char)) is not None}
    if len(scripts) <= 1 or any(scripts <= together for together in _TOGETHER):
        return []
    return sorted(scripts)
