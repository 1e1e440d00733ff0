"""Names of people: one person has one voice, however the name is spelled."""

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import InvalidDefinition, InvalidInput
from kern.tools import Approval, Escalation
from kern.values.confusables import confusables
from kern.values.invisible import is_invisible
from kern.values.names import looks_like, name_key, person_name

SPELLINGS = ["dana", "Dana", " dana ", "DANA", "dana\t", "\uff44\uff41\uff4e\uff41", "dana\u00a0"]
SAME = [
    *((f"O{mark}Brien", "o'brien") for mark in "\u2019\u2018\u02bc\u02bb\u2032\u00b4\u1ffd`\uff07"),
    *((f"ann{dash}lee", "ann-lee") for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d"),
    *((f"dana{blank}smith", "dana smith") for blank in "\u00a0\u2003\u202f\u3000\u1680"),
    ("Dana \u201cD\u201d Smith", 'dana "d" smith'),
    ("dana\u2024b", "dana.b"),
    ("\u0130lker", "ilker"),
    ("i\u0307lker", "\u0130LKER"),
    ("\u0639\u0645\u0640\u0631", "\u0639\u0645\u0631"),  # tatweel
    *((f"dana{seven}", "dana7") for seven in "\uff17\u0667\u06f7\u096d\U0001d7d5"),
    ("stra\u00dfe", "STRASSE"),
    ("\u03a3\u0391\u03a3", "\u03c3\u03b1\u03c2"),
    ("Andr\u00e9", "andre\u0301"),
]
LOOK_ALIKES = [
    ("\u0441\u043e\u0440\u0430", "copa"),  # all Cyrillic
    ("\u0410\u0412\u0421", "ABC"),  # Cyrillic capitals
    ("\u039f\u03a4\u03a4\u039f", "OTTO"),  # Greek capitals
    ("d\u0251na", "dana"),  # IPA
    ("\u2c6dnn", "Ann"),  # its capital
    ("\u1d05ana", "dana"),  # small capitals
    ("da\u0274a", "dana"),
    ("\u1d05\u1d00\u0274\u1d00", "DANA"),
    ("\u2202ana", "dana"),  # mathematical operator
    ("\u15eaana", "dana"),  # Canadian syllabics
    ("\ua4d3\ua4ee\ua4e0\ua4ee", "DANA"),  # Lisu
    ("\u13a0\u13aa\u13a0", "dad"),  # Cherokee
    ("s\u0578\u0578", "snn"),  # Armenian
    ("\u0399\u0391\u039d", "Ian"),  # a capital I in Greek
    ("\u0399\u0391\u039d", "lan"),  # and a small l
    ("\U0001f173\U0001f170\U0001f17d", "dan"),  # squared
    ("bill", "biII"),
    ("bill", "bi11"),
    ("bill", "bi||"),
    ("BlLL", "bill"),  # a small l for the capital I
    ("user1", "userl"),
    ("user1", "userI"),
    ("svc-1", "svc-l"),
    ("user0", "userO"),
    ("user0", "usero"),
    ("l33t", "I33t"),
    ("1an", "Lan"),
    ("admin", "adrnin"),
    ("ADMIN", "adrnin"),
    ("will", "vvill"),
    ("dana", "clana"),
    ("\u0501\u0430n", "Dan"),
    ("\u0131lker", "ilker"),
    ("\u0237r", "jr"),
    ("\u0261ina", "gina"),
    ("\u0138ern", "kern"),
    ("\u0639\u0644\u06cc", "\u0639\u0644\u064a"),  # two keyboards' yeh
    ("\u0643\u0631\u06cc\u0645", "\u06a9\u0631\u064a\u0645"),
    ("dana\u09ea", "dana8"),  # a four drawn like an 8
    ("dana\u0665", "danao"),  # a five drawn like an o
    ("\u0441\u043e\u0430\u0667", "coa7"),
    ("a\ua789b", "a:b"),
    ("a\u02cdb", "a_b"),
    ("\u01cena", "\u0103na"),  # two marks of one shape
    ("\u53e3", "\u30ed"),
    ("\u30c8", "\u535c"),
]
UNSEEN = [
    "\ufe0f",
    "\ufe00",
    "\U000e0100",
    "\u034f",
    "\u115f",
    "\u1160",
    "\u3164",
    "\uffa0",
    "\u2800",
    "\u17b4",
    "\u17b5",
    "\u180b",
    "\u180f",
    "\u2065",
    "\ufff0",
    "\U0001d173",
    "\U000e0fff",
    "\U0001d159",
    "\U0001bc9d",
    "\U00016fe4",
    "\U00013441",
    "\u2d7f",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_a_name_are_one_name(spelling: str) -> None:
    assert name_key(spelling) == name_key("dana")
    assert name_key(person_name("by", spelling)) == name_key("dana")


@pytest.mark.parametrize(("spelling", "name"), SAME)
def test_what_keyboards_and_tools_differ_in_makes_no_other_name(spelling: str, name: str) -> None:
    assert name_key(spelling) == name_key(name)
    stored = person_name("by", spelling)
    assert name_key(stored) == name_key(name)
    assert not looks_like(stored, name)


@pytest.mark.parametrize(
    "name", ["O\u2019Brien", "Ann\u2013Lee", "\u0130lker", "\u0639\u0645\u0640\u0631", "dana\u0667"]
)
def test_a_name_is_stored_as_it_is_spelled(name: str) -> None:
    assert person_name("by", name) == name


@pytest.mark.parametrize(
    "hidden",
    [
        *["\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\u202e", "\x00", "\U000e0041"],
        *UNSEEN,
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_cannot_be_seen_is_refused(hidden: str, place: int) -> None:
    name = "dana"[:place] + hidden + "dana"[place:]
    with pytest.raises(InvalidInput, match=r"U\+[0-9A-F]{4,5} cannot be seen"):
        person_name("by", name)
    assert name_key(name) == name_key("dana"), "an older row counts as the same person"


@pytest.mark.parametrize("control", ["\n", "\t", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_break_within_a_name_is_refused(control: str) -> None:
    with pytest.raises(InvalidInput, match=f"U\\+{ord(control):04X} cannot be seen"):
        person_name("by", f"dana{control}smith")
    assert name_key(f"dana{control}smith") == name_key("dana smith")


@pytest.mark.parametrize("end", [" ", "\n", "\r\n", "\t", "\u3000"])
def test_what_is_left_at_the_ends_by_accident_is_no_part_of_a_name(end: str) -> None:
    assert person_name("by", f"{end}dana{end}") == "dana"


@pytest.mark.parametrize("end", ["\x0b", "\x1c", "\x85", "\u2028"])
def test_other_controls_at_the_ends_are_refused(end: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be seen"):
        person_name("by", f"dana{end}")


@pytest.mark.parametrize("name", ["\u2202ana", "d\u2227na", "an\u20e3\u2208", "dana\u2b50"])
def test_a_symbol_in_a_word_of_letters_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"symbol U\+[0-9A-F]{4}"):
        person_name("by", name)


@pytest.mark.parametrize(
    "name", ["dana\u20dd", "dan\u0301\u0301a", "n\u0323\u0323ia", "dana \u0301 smith", "\u0301"]
)
def test_a_mark_that_no_letter_has_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"the mark U\+[0-9A-F]{4} is drawn"):
        person_name("by", name)


def test_blanks_around_what_cannot_be_seen_are_single_in_a_key() -> None:
    assert name_key(" a \u200b b\ufe0f ") == name_key("a b")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Ella", "Eila"),
        ("\u0399\u0391\u039d", "Jan"),
        ("Ian", "Lan"),
        ("Clara", "Dara"),
        ("ella", "eila"),
        ("Mia", "Nia"),
        ("svc-1", "svc-2"),
        ("Zo\u00e9", "Zo\u00e8"),
        ("\u0418\u0432\u0430\u043d", "\u0418\u0432\u0430"),
        ("\u5c71\u7530", "\u5c71\u672c"),
        ("anna", "hanna"),
        ("Jos\u00e9", "Jose"),
        ("Adeb\u1ecdla", "Adebola"),
    ],
)
def test_names_that_look_different_are_not_taken_for_one_another(name: str, other: str) -> None:
    assert not looks_like(name, other)


@pytest.mark.parametrize(
    "name",
    [
        "d\u0430na",
        "\u0440aul",
        "\u039fscar",
        "an\u03bd",
        "\u15eaana",
        "\ua4d1aul",
        "da\u2d4fa",
        "\U0001042can",
        "\u0430\u03bd",
        "dana\u05bf",
        "dana\u0670",
        "\u30ad\u0430",
    ],
)
def test_a_word_in_two_alphabets_that_look_alike_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="which look alike"):
        person_name("by", name)


@pytest.mark.parametrize("name", ["d\u0332ana", "dana\u0336", "da\u0331na", "d\u0359\u0360ana"])
def test_a_mark_that_no_letter_has_makes_no_other_name(name: str) -> None:
    assert looks_like(name, "dana")
    assert looks_like("Dana", name)


@pytest.mark.parametrize(("name", "other"), LOOK_ALIKES)
def test_names_in_other_letters_that_look_the_same_are_recognised(name: str, other: str) -> None:
    assert looks_like(name, other)
    assert looks_like(other, name)
    assert name_key(name) != name_key(other)


@pytest.mark.parametrize(
    "name",
    [
        "Zo\u00eb O'Neill",
        "\u0418\u0432\u0430\u043d \u041f.",
        "\u5c71\u7530 \u592a\u90ce",
        "dana@example.org",
        "dana+kern@example.org",
        "Dana \u2b50",
        "O\u02bcNeill",
        "\u05d3\u05e0\u05d4",
        "\u0414\u0430\u043d\u0430 Smith",
        "svc-billing_2",
        "group:finance",
        "\u7530\u4e2d\u3055\u3093",
        "\u30bf\u30ca\u30abDana",
        "\uae40 \ucca0\uc218",
        "Nguy\u1ec5n V\u0103n An",
        "\u1eb9\u0301k\u1ecd\u0301",
        "\u05d3\u05bc\u05b8\u05e0\u05b8\u05d4",
        "\u0639\u064f\u0645\u064e\u0631",
        "\u0928\u0947\u0939\u093e",
        "I\u015f\u0131k",
    ],
)
def test_ordinary_names_are_kept(name: str) -> None:
    assert person_name("by", name) == unicodedata.normalize("NFKC", name)
    assert not looks_like(name, name)


@pytest.mark.parametrize("name", ["", " ", "\u3000", "x" * 201])
def test_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="give a name of 1 to 200"):
        person_name("by", name)


@given(st.text(max_size=30))
def test_a_stored_name_is_stable(name: str) -> None:
    try:
        stored = person_name("by", name)
    except InvalidInput:
        return
    assert person_name("by", stored) == stored
    assert name_key(stored) == name_key(name)


TABLE = confusables()
ALIKE = {
    drawn: [drawn, *(char for char, text in TABLE.items() if text == drawn)]
    for drawn in set(TABLE.values())
}
CONFUSABLE = st.sampled_from(sorted(ALIKE)).flatmap(
    lambda drawn: st.lists(st.sampled_from(ALIKE[drawn]), min_size=2, max_size=2)
)
PARTS = st.text(
    st.sampled_from("abdehilmnorstwy1907ABDILMOW.-' \u00e9\u0131\u0430\u0456\u0436\u03bf"),
    max_size=6,
)
INVISIBLE = st.sampled_from([char for char in map(chr, range(0x20, 0x1FFFF)) if is_invisible(char)])


def assert_no_other_person(name: str, spelling: str) -> None:
    try:
        stored = person_name("by", spelling)
    except InvalidInput:
        return
    assert name_key(stored) == name_key(name) or looks_like(stored, name)


@given(PARTS, PARTS, INVISIBLE)
def test_no_invisible_character_makes_another_person(start: str, end: str, hidden: str) -> None:
    assert_no_other_person(f"{start}{end}", f"{start}{hidden}{end}")


@given(PARTS, PARTS, CONFUSABLE)
def test_no_character_that_is_drawn_alike_makes_another_person(
    start: str, end: str, pair: list[str]
) -> None:
    char, other = pair
    assert_no_other_person(f"{start}{char}{end}", f"{start}{other}{end}")


@given(st.text(max_size=20))
def test_a_key_is_the_key_of_itself(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)


def test_declarations_are_held_to_the_same() -> None:
    assert Approval(candidates=(" dana ", "erin")).candidates == ("dana", "erin")
    with pytest.raises(InvalidDefinition, match="cannot be seen"):
        Approval(candidates=("d\u200bana",))
    with pytest.raises(InvalidDefinition, match="look alike"):
        Approval(excluded=("d\u0430na",))
    with pytest.raises(InvalidDefinition, match="1 to 200"):
        Approval(candidates=("",))
    with pytest.raises(InvalidDefinition, match="who is excluded"):
        Approval(
            candidates=("ann",),
            excluded=("DANA",),
            escalate=Escalation(after=timedelta(hours=1), to=("dana",)),
        )
