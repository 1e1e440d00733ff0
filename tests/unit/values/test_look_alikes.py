"""The table of look-alikes: nothing in it is a Latin letter by itself."""

import unicodedata

from kern.values.look_alikes import BAR, LOOK_ALIKES


def test_each_is_one_visible_character_drawn_like_one_letter() -> None:
    assert set(LOOK_ALIKES.values()) == set("abcdefghijklmnopqrstuvwxyz" + BAR)
    for char in map(chr, LOOK_ALIKES):
        assert not char.isascii()
        assert unicodedata.normalize("NFKC", char) == char
        assert unicodedata.category(char)[0] not in "CMZ"
