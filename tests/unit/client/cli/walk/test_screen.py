"""The screen of a decision, to the character, on wide and narrow terminals."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from kern.client.cli.walk.screen import comparison_of, keys_of, quoted, screen_of
from kern.requirements import Requirement, RequirementKind, UnknownAttempt, UserInputField
from kern.values.attempts import UnknownReason
from kern.values.states import Effect
from kern.values.triage import Claim
from tests.support.shown_text import misread_in
from tests.support.walk_samples import NOW, PLACE, edited_refund, requirement

BODY = """\
   refund in support → refunds · for mia
   If approved: The customer is paid at once.
   order_id   "88-10423"
 ! amount     12500    the agent asked for 14250, Sam Okafor changed it
   currency   "EUR"
   reference  "RMA-3391\\u200b pallet 7 of 12"
 ! Spelled out, since the eye could miss it: U+200B zero width space"""
ON_80_COLUMNS = f"""\
 3 of 9   for dana · due in 3 h                                       kern inbox
 Refund 12,500.00 EUR to Nordlicht Versand                    HIGH RISK · 1 of 2
{BODY}
 ! This session did refund(order_id="88-10377", amount=40) before: result, 24
    Nov, 14:20 UTC
   So far: 1 of 2 refund(order_id="88-10423", amount=12500, currency="EUR",
            reference="RMA-3391\\u200b pallet 7 of 12"), edited (by Sam Okafor,
            5c55e5f8)
   Nobody until 18:00 UTC → rejected.
   May decide: dana (you), Ravi Pillai.    Not: Mia Lindqvist (excluded).
   Digest 5c55e5f8
 Decide as dana:
 [a]pprove  [r]eject  [e]dit
 [c]laim  [s]nooze  [m] comment
 [w]hy  [o]pen run  [n]ext  [k] previous  [u] list  [?] help  [q]uit"""


def lines_of(item: Requirement, width: int, effect: Effect | None = None) -> list[str]:
    return [line.plain for line in [*screen_of(item, PLACE, width, effect), *keys(item, width)]]


def keys(item: Requirement, width: int) -> list[Text]:
    return keys_of(item, PLACE, width)


def test_a_decision_on_80_columns() -> None:
    assert "\n".join(lines_of(edited_refund(), 80)) == ON_80_COLUMNS


def test_a_decision_on_200_columns() -> None:
    lines = lines_of(edited_refund(), 200)
    assert lines[0] == f" 3 of 9   for dana · due in 3 h{'kern inbox':>169}"
    assert lines[1] == f" Refund 12,500.00 EUR to Nordlicht Versand{'HIGH RISK · 1 of 2':>158}"
    assert "\n".join(lines[2:9]) == BODY
    assert lines[9] == (
        ' ! This session did refund(order_id="88-10377", amount=40) before: result, 24 Nov, '
        "14:20 UTC"
    )
    assert lines[10] == (
        '   So far: 1 of 2 refund(order_id="88-10423", amount=12500, currency="EUR", '
        'reference="RMA-3391\\u200b pallet 7 of 12"), edited (by Sam Okafor, 5c55e5f8)'
    )


def test_whoever_is_away_may_still_decide() -> None:
    away = replace(PLACE, away={"ravi pillai": "away until 8 Dec, 9:00 UTC"})
    lines = [line.plain for line in screen_of(edited_refund(), away, 200)]
    assert (
        "   May decide: dana (you), Ravi Pillai (away until 8 Dec, 9:00 UTC).    "
        "Not: Mia Lindqvist (excluded)."
    ) in lines


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    reference = "".join(f"part{number:03d} " for number in range(60))
    item = requirement(arguments={"reference": reference, "amount": 1})
    lines = lines_of(item, width)
    assert max(map(cell_len, lines)) <= width
    bare = "".join("".join(lines).split())
    assert "".join(json.dumps(reference).split()) in bare


def test_no_line_of_a_value_begins_where_kerns_own_lines_do() -> None:
    fake = f"x{' ' * 90}amount  1{' ' * 90}Digest 00000000"
    lines = lines_of(requirement(arguments={"reference": fake, "amount": 9}), 80)
    values = [line for line in lines if "amount  1" in line or "Digest 0000" in line]
    assert values
    assert all(line.startswith(" " * len("   reference  ")) for line in values)


TEXTS = st.text(max_size=40)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
@example("\x1b[2J", "\u202e", "\n a\r", "\u0430bc")
def test_no_text_steers_the_terminal_or_stays_invisible(
    name: str, value: str, title: str, question: str
) -> None:
    field = UserInputField(name=name, description=value)
    item = requirement(
        RequirementKind.user_input,
        tool_name=name,
        path=[title, name, value],
        user_id=value or None,
        arguments={name: value, "other": {value: [title]}},
        current_arguments={name: title, "other": 1},
        title=title or None,
        question=question,
        consequence=value,
        edited_by=title,
        choices=[value],
        fields=[field],
        candidates=[title],
    )
    for width in (40, 200):
        for line in lines_of(item, width):
            assert not misread_in(line), ascii(line)


@given(st.text(max_size=200))
@example("\t0")
def test_a_quoted_text_stays_behind_its_bar(text: str) -> None:
    lines = [line.plain for line in quoted(text, 40)]
    assert all(line.startswith("   │") for line in lines)
    assert not any(misread_in(line) for line in lines)


@pytest.mark.parametrize(
    ("by", "name", "key"), [("Dana", "you", "[c] release"), ("eli", "eli", "[c]laim")]
)
def test_whoever_claims_it_is_named_and_may_give_it_back(by: str, name: str, key: str) -> None:
    item = requirement(claim=Claim(by=by, until=NOW + timedelta(minutes=30)))
    lines = lines_of(item, 80)
    assert f"   Claimed by {name} until 14:50 UTC." in lines
    assert f" {key}  [s]nooze  [m] comment" in lines


def test_the_values_that_are_asked_for_are_named() -> None:
    fields = [
        UserInputField(name="floor", type="integer", description="Which floor"),
        UserInputField(name="lift", type="boolean", required=False),
    ]
    item = requirement(RequirementKind.user_input, arguments={"item": "a book"}, fields=fields)
    lines = lines_of(item, 80)
    assert " ? floor  (integer)  Which floor" in lines
    assert " ? lift  (boolean, optional)" in lines
    assert " [a]nswer  [r]eject" in lines


def test_choices_have_numbers() -> None:
    item = requirement(RequirementKind.user_feedback, arguments={}, choices=["red", "b\u200blue"])
    lines = lines_of(item, 80)
    assert lines[3:5] == ["   1  red", '   2  "b\\u200blue"']


def test_an_unknown_outcome_shows_what_is_known_and_where_to_look() -> None:
    attempt = UnknownAttempt(
        reason=UnknownReason.worker_lost,
        worker="7@host",
        begun_at=NOW,
        idempotency_key="key-1",
        evidence=("no payment with this key",),
    )
    item = requirement(
        RequirementKind.unknown_outcome, attempt=attempt, where_to_look="The list of payments"
    )
    again = "if the first attempt went through, it happens twice"
    lines = lines_of(item, 120, Effect.once)
    assert lines[7:12] == [
        " ! Its worker was lost; it was begun at 2026-11-26 14:20:00 UTC in worker 7@host.",
        "   idempotency key  key-1",
        "   reconciler  no payment with this key",
        "   Where to look: The list of payments",
        f"   Run again: the same arguments and key; {again}.",
    ]
    assert " [h]appened  [a]gain  [d]on't run it again  [f]ail the run" in lines


def test_an_output_is_shown_line_by_line() -> None:
    output = 'Dear Mia,\n\n  thank you. \n"Bye"\n [a]pprove'
    item = requirement(RequirementKind.output_review, arguments={"output": output})
    lines = lines_of(item, 80)
    assert lines[3:9] == [
        "   Output:",
        "   │ Dear Mia,",
        "   │",
        '   │ "  thank you. "',
        '   │ "\\"Bye\\""',
        "   │  [a]pprove",
    ]


def test_an_edit_is_compared_with_what_was_asked_for() -> None:
    item = requirement(arguments={"amount": 9, "to": "Mia"})
    lines = [line.plain for line in comparison_of(item, {"amount": 8, "to": "Mia"}, "ab" * 32, 80)]
    assert lines == [
        " As edited:",
        " ! amount  8    was 9",
        '   to      "Mia"',
        "   Digest abababab",
    ]
