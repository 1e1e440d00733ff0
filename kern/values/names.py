"""Names of people: the form in which they are stored, and the key by which they are compared.

Until a decision carries an authenticated principal, a person is a name that somebody typed. One
person must not count as two by a trailing blank, a capital, an invisible character or a letter of
another alphabet that looks the same; and nobody may pass for somebody else by one.
"""

import re
import unicodedata
from functools import cache

from kern.errors import InvalidInput
from kern.values.invisible import first_invisible, is_invisible
from kern.values.look_alikes import looks_alike
from kern.values.scripts import mixed_scripts
from kern.values.validation import described

_LONGEST = 200
# So much of a name is repeated in a message.
_MESSAGE_LENGTH = 200
# What people leave at the ends of a name by accident, beside blanks (Zs).
_LINE_ENDS = "\t\r\n"
_SYMBOLS = frozenset({"Sm", "So"})
# An accent that stands alone is typed for an apostrophe; NFKC would put it on a blank.
_ACCENTS = str.maketrans(dict.fromkeys("\u00b4\u0384\u1fbd\u1fbf\u1fef\u1ffd\u1ffe", "'"))
_APOSTROPHES = (
    "`\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u02f4\u055a\u055d\u05f3\u07f4\u07f5"
    "\u2018\u2019\u201b\u2032\u2035\ua78b\ua78c"
)
_QUOTES = "\u02ba\u02ee\u02f6\u05f4\u201c\u201d\u201e\u201f\u2033\u2036\u3003"
# Dashes that Unicode does not count as such.
_HYPHENS = "\u02d7\u2043\u2212\u2796"
# They draw a word out, and are no letter of it.
_ELONGATIONS = "\u0640\u07fa\u180a"
_DOTTED = re.compile("([ij])\u0307", re.IGNORECASE)


def person_name(label: str, value: object) -> str:
    """Return a name as it is stored: NFKC, trimmed, with single blanks.

    Raises:
        InvalidInput: it is no text, empty or too long, has an invisible character, or has a word
            that mixes scripts or letters with symbols, or has a mark that no letter has.
    """
    if not isinstance(value, str):
        message = f"{label} is {described(value)}: it has to be a text."
        raise InvalidInput(message)
    trimmed = _trimmed(value)
    name = _composed(trimmed)
    excerpt = ascii(value)[:_MESSAGE_LENGTH]
    hidden = first_invisible(trimmed)
    if hidden is not None:
        message = (
            f"{label} is {excerpt}: U+{ord(hidden):04X} cannot be seen, so it is no part of a "
            "name. Type the name again."
        )
        raise InvalidInput(message)
    if not name or len(name) > _LONGEST:
        message = f"{label} has {len(name)} characters: give a name of 1 to {_LONGEST}."
        raise InvalidInput(message)
    for word in name.split():
        _check_word(label, excerpt, word)
    return name


def name_key(name: str) -> str:
    """Return the key by which names are compared: spellings of one name have the same.

    Case, invisible characters, and the kinds of blanks, dashes, quotes and digits make no other
    name, for tools and keyboards differ in them; neither does a letter drawn out. Letters do.
    """
    # A capital with a dot gets small in two characters: they are drawn like an i.
    return _undotted(_composed(_spelling(name).casefold()))


def looks_like(name: str, other_name: str) -> bool:
    """Whether a reader may take two names for one another though they are not the same."""
    if name_key(name) == name_key(other_name):
        return False
    return any(
        looks_alike(spelling, other_spelling)
        for spelling in _spellings(name)
        for other_spelling in _spellings(other_name)
    )


def _spellings(name: str) -> set[str]:
    spellings = {_visible(name), _spelling(name)}
    return spellings | {_without_loose_marks(spelling) for spelling in spellings}


def _without_loose_marks(name: str) -> str:
    """Return a name without the marks over Latin letters for which no letter of Unicode has them.

    Such as a line through a name, or below it. An accent that a letter has, as in José, is part of
    the name; a tone that is written over one more stays out of the comparison.
    """
    letters: list[str] = []
    is_latin = False
    for char in _composed(name):
        is_mark = unicodedata.category(char) == "Mn"
        if not is_mark:
            is_latin = "LATIN" in unicodedata.name(char, "")
        if not (is_mark and is_latin):
            letters.append(char)
    return "".join(letters)


def _visible(name: str) -> str:
    composed = _composed(name)
    return _composed("".join(c for c in composed if c.isspace() or not is_invisible(c)))


def _spelling(name: str) -> str:
    """Return a name with one kind of each blank, dash, quote and digit."""
    return _composed(_undotted("".join(map(_folded, _visible(name)))))


def _undotted(text: str) -> str:
    return _DOTTED.sub(r"\1", text.replace("\u0130", "I"))


@cache
def _folded(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Pd" or char in _HYPHENS:
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if char in _APOSTROPHES:
        return "'"
    if char in _QUOTES:
        return '"'
    return "" if char in _ELONGATIONS else char


def _check_word(label: str, excerpt: str, word: str) -> None:
    scripts = mixed_scripts(word)
    if scripts:
        message = (
            f"{label} is {excerpt}: {word[:_MESSAGE_LENGTH]!a} mixes {' and '.join(scripts)} "
            "letters, which look alike. Type it in one alphabet."
        )
        raise InvalidInput(message)
    symbol = next((char for char in word if _is_symbol(char)), None)
    if symbol is not None and any(map(str.isalpha, word)):
        message = (
            f"{label} is {excerpt}: {word[:_MESSAGE_LENGTH]!a} mixes letters with the symbol "
            f"U+{ord(symbol):04X}, which may look like one. Type it in letters."
        )
        raise InvalidInput(message)
    mark = _odd_mark(word)
    if mark is not None:
        message = (
            f"{label} is {excerpt}: the mark U+{ord(mark):04X} is drawn over another, around its "
            "letter or over none. Type the name without it."
        )
        raise InvalidInput(message)


def _odd_mark(word: str) -> str | None:
    """Return a mark that no spelling has, and that may not be seen where it stands."""
    previous = ""
    for char in unicodedata.normalize("NFD", word):
        category = unicodedata.category(char)
        if category == "Me" or (category == "Mn" and previous in {"", char}):
            return char
        previous = char
    return None


def _is_symbol(char: str) -> bool:
    # Those of ASCII, such as `+` in an address, look like no letter.
    return not char.isascii() and unicodedata.category(char) in _SYMBOLS


def _trimmed(text: str) -> str:
    ends = {char for char in text if char in _LINE_ENDS or unicodedata.category(char) == "Zs"}
    return text.strip("".join(ends)) if ends else text


def _composed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text.translate(_ACCENTS)).split())
