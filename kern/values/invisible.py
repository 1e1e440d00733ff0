"""Characters that cannot be seen: two texts that differ in nothing else look the same.

Sources: general categories by Python's `unicodedata`; Default_Ignorable_Code_Point in
https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt.
"""

import unicodedata
from functools import cache

# Controls, format characters (zero-width ones, directions), surrogates, private and unassigned
# ones, and separators of lines and paragraphs.
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Default_Ignorable_Code_Point, first and last of each range.
_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
# Drawn as nothing, though they count as a symbol, a letter or a mark: a braille cell without dots,
# a musical notehead, two blanks between hieroglyphs, and what only shapes its neighbour in
# Duployan, Khitan, Tifinagh and Brahmi.
_BLANKS = frozenset("\u2800\U0001d159\U00013441\U00013442\U0001bc9d\U00016fe4\u2d7f\U0001107f")


@cache
def is_invisible(char: str) -> bool:
    """Whether a character cannot be seen. Blanks that stay on their line can."""
    code = ord(char)
    return (
        unicodedata.category(char) in _CATEGORIES
        or char in _BLANKS
        or any(first <= code <= last for first, last in _IGNORABLE)
    )


def first_invisible(text: str) -> str | None:
    """Return the first character of a text that cannot be seen."""
    return next((char for char in text if is_invisible(char)), None)
