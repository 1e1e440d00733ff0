"""Texts that are drawn alike, though their characters differ.

The skeleton of a text is what is left of it when each character is replaced by the simplest one
that is drawn like it: https://www.unicode.org/reports/tr39/#Confusable_Detection.
"""

import unicodedata
from functools import cache

from kern.values.confusables import confusables

# Is drawn like a 1, a capital I and a small l.
_BAR = "|"
# Small capitals, squared letters, operators and letters of other scripts which Unicode does not
# list, though they have the shape of a letter.
_SHAPES = {
    "_": "02CD",
    "a": "0394 039B 15E9 1D00 2200 2206 2C81 AB7A 1F150 1F170 1F1E6",
    "b": "0299 0432 13FC 1F151 1F171 1F1E7",
    "c": "2201 A793 1F152 1F172 1F1E8",
    "d": "1D05 2202 AB70 1F153 1F173 1F1E9",
    "e": "025B 03B5 15F4 1D07 2208 220A 2211 AB7C 1F154 1F174 1F1EA",
    "f": "A730 1F155 1F175 1F1EB",
    "g": "0262 050D 13FB AB90 1F156 1F176 1F1EC",
    "h": "029C 043D AB8B 1F157 1F177 1F1ED",
    "i": "1F158 1F178 1F1EE",
    "j": "0237 1D0A AB7B 1F159 1F179 1F1EF",
    "k": "0138 03BA 1D0B 1F15A 1F17A 1F1F0",
    "l": "029F 2CD1 ABAE 10443 1F15B 1F17B 1F1F1",
    "m": "028D 1D0D 1F15C 1F17C 1F1F2",
    "n": "0274 043F 144E 2229 1F15D 1F17D 1F1F3",
    "o": "2205 1F15E 1F17E 1F1F4",
    "p": "1D18 1D29 ABB2 1F15F 1F17F 1F18A 1F1F5",
    "q": "051A A7AF 1F160 1F180 1F1F6",
    "r": "0280 AB71 ABA2 1F161 1F181 1F1F7",
    "s": "1F162 1F182 1F1F8",
    "t": "03C4 0442 1D1B AB72 1F163 1F183 1F1F9",
    "u": "1F164 1F184 1F1FA",
    "v": "1F165 1F185 1F1FB",
    "w": "03C9 15EF 1F166 1F186 1F1FC",
    "x": "03C7 1F167 1F187 1F1FD",
    "y": "1F168 1F188 1F1FE",
    "z": "1F169 1F189 1F1FF",
}
# Letters that are drawn like two.
_PAIRS = {"m": "rn", "w": "vv"}
_SMALL_PAIRS = {"d": f"c{_BAR}"}


def looks_alike(text: str, other_text: str) -> bool:
    """Whether a reader may take two texts for one another, in whatever case they are written."""
    is_plain = _is_plain(text) and _is_plain(other_text)
    return not _skeletons(text, is_plain=is_plain).isdisjoint(
        _skeletons(other_text, is_plain=is_plain)
    )


@cache
def ascii_look(char: str) -> str | None:
    """Return the one ASCII character that a character is drawn like, by Unicode's list."""
    glyphs = _listed().get(unicodedata.normalize("NFKD", char))
    return glyphs if glyphs is not None and len(glyphs) == 1 and glyphs.isascii() else None


def _skeletons(text: str, *, is_plain: bool) -> set[str]:
    # A capital I is drawn like a small l, but a small i and a capital L are not. In letters of
    # ASCII, `Ian` and `Lan` are two people, though `lan` may be either.
    smaller = text.replace("I", "i") if is_plain else text.lower()
    return {_skeleton(text), _skeleton(text.upper()), _skeleton(smaller)}


def _skeleton(text: str) -> str:
    glyphs = unicodedata.normalize("NFKD", text).translate(_table())
    # Some letters look like others only when they are small.
    small = unicodedata.normalize("NFKD", glyphs.casefold()).translate(_small_table())
    return unicodedata.normalize("NFKD", small)


def _is_plain(text: str) -> bool:
    return text.isascii() and "1" not in text and _BAR not in text


@cache
def _listed() -> dict[str, str]:
    return confusables()


@cache
def _table() -> dict[int, str]:
    """Return what is drawn for each character, in the case in which it is written."""
    listed = _listed()
    shapes = {
        chr(int(code, base=16)): letter.upper()
        for letter, codes in _SHAPES.items()
        for code in codes.split()
    }
    # What is drawn like a shape is drawn like its letter.
    shapes |= {
        text: letter
        for char, letter in shapes.items()
        if len(text := listed.get(char, "")) == 1 and not text.isascii()
    }
    pairs = {ord(letter): pair for letter, pair in (_PAIRS | _SMALL_PAIRS).items()}
    glyphs = {
        ord(char): "".join(shapes.get(part, part) for part in text).translate(pairs)
        for char, text in listed.items()
    }
    return pairs | glyphs | {ord(char): letter for char, letter in shapes.items()}


@cache
def _small_table() -> dict[int, str]:
    """Return the same for what was in capitals: an L or a D is not drawn like a small one."""
    table = {code: text for code, text in _table().items() if not chr(code).isascii()}
    return table | {ord(letter): pair for letter, pair in _PAIRS.items()}
