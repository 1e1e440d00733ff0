"""Names of people: the form in which they are stored, and the key by which they are compared.

Until a decision carries an authenticated principal, a person is a name that somebody typed. One
person must not count as two by a trailing blank, a capital, an invisible character or a letter of
another alphabet that looks the same; and nobody may pass for somebody else by one.
"""

import unicodedata

from kern.errors import InvalidInput
from kern.values.invisible import first_invisible, is_invisible
from kern.values.look_alikes import BAR, LOOK_ALIKES
from kern.values.validation import described

_LONGEST = 200
# So much of a name is repeated in a message.
_MESSAGE_LENGTH = 200
# What people leave at the ends of a name by accident, beside blanks (Zs).
_LINE_ENDS = "\t\r\n"
# Alphabets with letters that look like those of another.
_ALIKE = frozenset(
    unicodedata.name(char).partition(" ")[0] for char in map(chr, LOOK_ALIKES) if char.isalpha()
)
_SYMBOLS = frozenset({"Sm", "So"})
_BARS = str.maketrans("il", BAR * 2)


def person_name(label: str, value: object) -> str:
    """Return a name as it is stored: NFKC, trimmed, with single blanks.

    Raises:
        InvalidInput: it is no text, empty or too long, has an invisible character, or has a word
            that mixes alphabets whose letters look alike, or letters with symbols.
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
    """Return the key by which names are compared: spellings of one name have the same."""
    composed = unicodedata.normalize("NFKC", name)
    visible = (char for char in composed if char.isspace() or not is_invisible(char))
    return _composed("".join(visible)).casefold()


def looks_like(name: str, other_name: str) -> bool:
    """Whether a reader may take two names for one another though their letters differ."""
    if name_key(name) == name_key(other_name):
        return False
    skeletons = {_skeleton(name), _skeleton(other_name)}
    if any(BAR in skeleton for skeleton in skeletons):
        skeletons = {skeleton.translate(_BARS) for skeleton in skeletons}
    return len(skeletons) == 1


def _check_word(label: str, excerpt: str, word: str) -> None:
    letters = [char for char in word if char.isalpha()]
    scripts = sorted({_script(char) for char in letters} & _ALIKE)
    if len(scripts) > 1:
        message = (
            f"{label} is {excerpt}: {word[:_MESSAGE_LENGTH]!a} mixes {' and '.join(scripts)} "
            "letters, which look alike. Type it in one alphabet."
        )
        raise InvalidInput(message)
    symbol = next((char for char in word if _is_symbol(char)), None)
    if letters and symbol is not None:
        message = (
            f"{label} is {excerpt}: {word[:_MESSAGE_LENGTH]!a} mixes letters with the symbol "
            f"U+{ord(symbol):04X}, which may look like one. Type it in letters."
        )
        raise InvalidInput(message)


def _is_symbol(char: str) -> bool:
    # Those of ASCII, such as `+` in an address, look like no letter.
    return not char.isascii() and unicodedata.category(char) in _SYMBOLS


def _trimmed(text: str) -> str:
    ends = {char for char in text if char in _LINE_ENDS or unicodedata.category(char) == "Zs"}
    return text.strip("".join(ends)) if ends else text


def _composed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _skeleton(name: str) -> str:
    # Some capitals alone look like Latin ones, and some letters when they are small.
    capitals = unicodedata.normalize("NFKC", name).translate(LOOK_ALIKES)
    return name_key(name_key(capitals).translate(LOOK_ALIKES))


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
