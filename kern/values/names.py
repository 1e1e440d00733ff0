"""Names of people: the form in which they are stored, and the key by which they are compared.

Until a decision carries an authenticated principal, a person is a name that somebody typed. One
person must not count as two by a trailing blank, a capital, an invisible character or a letter of
another alphabet that looks the same; and nobody may pass for somebody else by one.
"""

import unicodedata

from kern.errors import InvalidInput
from kern.values.validation import described

_LONGEST = 200
# So much of a name is repeated in a message.
_MESSAGE_LENGTH = 200
# Controls, format characters (zero-width ones, directions), surrogates, private and unassigned.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Alphabets whose letters look like those of one another.
_ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE", "LISU"}
# Letters that are drawn like Latin ones (Unicode Technical Standard 39, confusables, single
# letters of Cyrillic and Greek).
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХҮԌԚԜаеѕіјорсухһԁԛԝүΑΒΕΖΗΙΚΜΝΟΡΤΥΧοανρυιγ",
    "ABESIJKMHOPCTYXYGQWaesijopcyxhdqwyABEZHIKMNOPTYXoavpuiy",
)


def person_name(label: str, value: object) -> str:
    """Return a name as it is stored: NFKC, trimmed, with single blanks.

    Raises:
        InvalidInput: it is no text, empty or too long, has an invisible character, or mixes
            alphabets whose letters look alike within one word.
    """
    if not isinstance(value, str):
        message = f"{label} is {described(value)}: it has to be a text."
        raise InvalidInput(message)
    name = " ".join(unicodedata.normalize("NFKC", value).split())
    excerpt = ascii(value)[:_MESSAGE_LENGTH]
    hidden = next((char for char in name if unicodedata.category(char) in _INVISIBLE), None)
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
        scripts = sorted({_script(char) for char in word if char.isalpha()} & _ALIKE)
        if len(scripts) > 1:
            message = (
                f"{label} is {excerpt}: {word[:_MESSAGE_LENGTH]!a} mixes {' and '.join(scripts)} "
                "letters, which look alike. Type it in one alphabet."
            )
            raise InvalidInput(message)
    return name


def name_key(name: str) -> str:
    """Return the key by which names are compared: spellings of one name have the same."""
    text = " ".join(unicodedata.normalize("NFKC", name).split())
    visible = (char for char in text if unicodedata.category(char) not in _INVISIBLE)
    return "".join(visible).casefold()


def looks_like(name: str, other_name: str) -> bool:
    """Whether a reader may take two names for one another though their letters differ."""
    key, other_key = name_key(name), name_key(other_name)
    return key != other_key and _skeleton(name) == _skeleton(other_name)


def _skeleton(name: str) -> str:
    # Before letters are folded: some capitals alone look like Latin ones.
    return name_key(name.translate(_LOOK_ALIKES))


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
