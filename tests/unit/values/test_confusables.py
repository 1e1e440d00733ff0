"""The table of confusables: each character is drawn like something that is drawn like no other."""

import unicodedata

from kern.values.confusables import confusables
from kern.values.invisible import is_invisible


def test_what_is_drawn_is_not_drawn_like_something_else() -> None:
    table = confusables()
    assert len(table) > 2_000
    for char, drawn in table.items():
        assert char not in drawn
        assert not any(part in table for part in drawn)


def test_texts_are_compared_in_the_form_of_the_table() -> None:
    for char, drawn in confusables().items():
        assert len(char) == 1
        assert unicodedata.normalize("NFKD", char) == char
        assert unicodedata.normalize("NFKD", drawn) == drawn
        assert not is_invisible(char)
