"""Names of people: one person has one voice, however the name is spelled."""

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import InvalidDefinition, InvalidInput
from kern.tools import Approval, Escalation
from kern.values.names import looks_like, name_key, person_name

SPELLINGS = ["dana", "Dana", " dana ", "DANA", "dana\t", "\uff44\uff41\uff4e\uff41", "dana\u00a0"]
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
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_a_name_are_one_name(spelling: str) -> None:
    assert name_key(spelling) == name_key("dana")
    assert name_key(person_name("by", spelling)) == name_key("dana")


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


def test_blanks_around_what_cannot_be_seen_are_single_in_a_key() -> None:
    assert name_key(" a \u200b b\ufe0f ") == name_key("a b")


@pytest.mark.parametrize(
    ("name", "other"), [("Ella", "Eila"), ("\u0399\u0391\u039d", "Jan"), ("svc-1", "svc-l")]
)
def test_names_that_look_different_are_not_taken_for_one_another(name: str, other: str) -> None:
    assert not looks_like(name, other)


@pytest.mark.parametrize("name", ["d\u0430na", "\u0440aul", "\u039fscar", "an\u03bd", "\u15eaana"])
def test_a_word_in_two_alphabets_that_look_alike_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="which look alike"):
        person_name("by", name)


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
