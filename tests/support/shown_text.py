"""What people could still misread in a text that was shown to them."""

import re

from kern.values.visible_text import misleading

_SPELLING = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])")


def misread_in(shown: str, keep: str = "") -> set[str]:
    r"""Return the characters that mislead, whether backslashes in the text begin escapes or not.

    What is shown may hold both: `\u200b` for a character, and a backslash of the text's own.
    """
    without_spellings = _SPELLING.sub(lambda match: " " * len(match[0]), shown)
    positions = (
        misleading(shown) & misleading(shown, is_escaped=True) & misleading(without_spellings)
    )
    return {shown[index] for index in positions} - set(keep)
