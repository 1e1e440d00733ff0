"""Verdicts: which decision fits which requirement, with which values, and what a model hears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.db.decisions.verdicts import (
    approved_arguments,
    check_fit,
    chosen_text,
    cleaned,
    happened_text,
    outcome_text,
)
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.journal.audit_chain import NewDecision
from kern.errors import InvalidDecision
from kern.requirements import DecisionDraft
from kern.values.canonical import canonical_json
from kern.values.decisions import METHODS
from kern.values.principals import KERN
from kern.values.states import RequirementKind, Verdict
from tests.support.stored_runs import ARGUMENTS, NOW, SCHEMA

FITS = {
    RequirementKind.confirmation: {"approve", "reject"},
    RequirementKind.user_input: {"answer", "reject"},
    RequirementKind.user_feedback: {"choose", "reject"},
    RequirementKind.external_execution: {"result", "unknown", "reject"},
    RequirementKind.unknown_outcome: {"happened", "run_again", "reject", "fail"},
    RequirementKind.output_review: {"approve", "reject", "run_again", "fail"},
    RequirementKind.error: {"run_again", "skip", "fail", "reject"},
}
# What each verdict carries, so that only the pair is left to be refused.
CONTENT: dict[Verdict, dict[str, object]] = {
    Verdict.choose: {"choices": ("a",)},
    Verdict.unknown: {"note": "The desk had closed."},
}
AMOUNT: JsonValue = {"name": "amount", "type": "number", "json_schema": {"type": "number"}}
REASON: JsonValue = {
    "name": "reason",
    "required": False,
    "json_schema": {"type": "string", "default": "none"},
    "default": "none",
}
NOTE: JsonValue = {"name": "note", "required": False, "json_schema": {"type": "string"}}


def requirement(
    kind: RequirementKind = RequirementKind.confirmation, **values: object
) -> RequirementRow:
    row: dict[str, object] = {
        "id": "r1",
        "run_id": "run",
        "session_id": "s",
        "kind": kind.value,
        "tool_name": "refund",
        "arguments": dict(ARGUMENTS),
        "digest": "d",
        "arguments_schema": SCHEMA,
        "fields": [],
        "choices": ["a", "b", "c"],
        "candidates": [],
        "excluded": [],
        "created_at": NOW,
        **values,
    }
    return RequirementRow(**row)  # type: ignore[arg-type]


def draft(verdict: Verdict, **values: object) -> DecisionDraft:
    return DecisionDraft(verdict=verdict, **values)  # type: ignore[arg-type]


def decided(
    verdict: Verdict, actor: str = "dana", note: str | None = None, given: JsonValue = None
) -> NewDecision:
    return NewDecision(verdict, actor, note, "d", given=given)


def answered(
    row: RequirementRow, values: dict[str, JsonValue] | None
) -> dict[str, JsonValue] | None:
    return approved_arguments(row, draft(Verdict.answer, values=values))


def test_every_kind_is_in_the_table_of_this_file() -> None:
    assert set(FITS) == set(RequirementKind)


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("kind", RequirementKind)
def test_a_verdict_fits_the_kinds_of_the_table_and_no_other(
    kind: RequirementKind, verdict: Verdict
) -> None:
    decision = draft(verdict, **CONTENT.get(verdict, {}))
    if verdict.value in FITS[kind]:
        check_fit(requirement(kind), decision)
        return
    with pytest.raises(InvalidDecision) as caught:
        check_fit(requirement(kind), decision)
    message = str(caught.value)
    assert f"'r1' waits for {kind.value}; {verdict.value!r} does not fit" in message
    assert METHODS[kind] in message


@given(
    choices=st.lists(st.sampled_from("abcd"), max_size=4).map(tuple) | st.none(),
    multiple=st.booleans(),
)
def test_choices_are_offered_ones_each_once_and_as_many_as_are_asked_for(
    choices: tuple[str, ...] | None, *, multiple: bool
) -> None:
    row = requirement(RequirementKind.user_feedback, multiple=multiple)
    chosen = choices or ()
    fits = (
        set(chosen) <= {"a", "b", "c"}
        and len(set(chosen)) == len(chosen)
        and (len(chosen) == 1 or (multiple and len(chosen) > 1))
    )
    try:
        check_fit(row, draft(Verdict.choose, choices=choices))
    except InvalidDecision:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize(
    ("choices", "multiple", "message"),
    [
        (("x",), True, "'x' is none of the choices of requirement 'r1': 'a', 'b', 'c'"),
        (("a", "a"), True, "'a' was chosen twice"),
        (("a", "b"), False, "takes exactly one of 'a', 'b', 'c'; 2 were given"),
        ((), True, "takes at least one of 'a', 'b', 'c'; 0 were given"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused_with_those_that_would(
    choices: tuple[str, ...], message: str, *, multiple: bool
) -> None:
    row = requirement(RequirementKind.user_feedback, multiple=multiple)
    with pytest.raises(InvalidDecision, match=message):
        check_fit(row, draft(Verdict.choose, choices=choices))


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.answer}))
def test_a_decision_without_values_leaves_the_frozen_arguments(verdict: Verdict) -> None:
    assert approved_arguments(requirement(), draft(verdict)) is None


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.approve, Verdict.answer}))
def test_an_edit_counts_in_an_approval_alone(verdict: Verdict) -> None:
    assert approved_arguments(requirement(), draft(verdict, edit={"amount": 3})) is None


def test_an_edit_replaces_what_it_names_and_keeps_the_others() -> None:
    row = requirement()
    edited = approved_arguments(row, draft(Verdict.approve, edit={"amount": 3}))
    assert edited == {**ARGUMENTS, "amount": 3}
    assert row.arguments == ARGUMENTS, "the frozen arguments stay as they were"
    assert approved_arguments(row, draft(Verdict.approve, edit={})) == ARGUMENTS


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"amount": "much"}, r"amount: 'much' is not of type 'number'"),
        ({"amount": True}, "amount: True is not of type 'number'"),
        ({"order_id": None}, "order_id: None is not of type 'string'"),
        ({"other": 1}, "arguments: .*'other' was unexpected"),
    ],
)
def test_an_edit_that_does_not_fit_the_schema_is_refused(
    edit: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(InvalidDecision, match=message) as caught:
        approved_arguments(requirement(), draft(Verdict.approve, edit=edit))
    assert "'refund' (requirement 'r1') do not fit its schema" in str(caught.value)
    assert "Nothing was decided." in str(caught.value)


@given(st.integers() | st.integers(53, 1100).flatmap(lambda n: st.integers(2**n - 2, 2**n + 2)))
def test_an_integer_that_a_float_cannot_hold_is_refused(amount: int) -> None:
    try:
        is_exact = float(amount) == amount
    except OverflowError:
        is_exact = False
    decision = draft(Verdict.approve, edit={"amount": amount})
    if is_exact:
        edited = approved_arguments(requirement(), decision)
        assert edited is not None
        assert edited["amount"] == amount
    else:
        with pytest.raises(InvalidDecision, match="cannot be held exactly by a float"):
            approved_arguments(requirement(), decision)


def test_a_number_of_thousands_of_digits_is_refused_without_being_written() -> None:
    decision = draft(Verdict.approve, edit={"amount": 10**5000})
    with pytest.raises(InvalidDecision, match="a number that long cannot be held exactly"):
        approved_arguments(requirement(), decision)


def test_values_fill_the_fields_and_defaults_those_that_were_left_out() -> None:
    properties: JsonValue = {
        "order_id": {"type": "string"},
        "amount": {"type": "number"},
        "reason": {"type": "string"},
        "note": {"type": "string"},
    }
    row = requirement(
        RequirementKind.user_input,
        arguments={"order_id": "1042"},
        fields=[AMOUNT, REASON, NOTE],
        arguments_schema={"type": "object", "properties": properties},
    )
    filled: dict[str, JsonValue] = {"order_id": "1042", "amount": 3, "reason": "none"}
    assert answered(row, {"amount": 3}) == filled
    assert answered(row, {"amount": 3, "reason": "late"}) == {**filled, "reason": "late"}
    assert answered(row, {"amount": 3, "note": "n"}) == {**filled, "note": "n"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "'amount' is missing. It asks for amount, reason"),
        ({"reason": "late"}, "'amount' is missing"),
        ({"amount": 3, "order_id": "7"}, "'order_id' is not asked for"),
        ({"amount": "much"}, "do not fit its schema: amount"),
    ],
)
def test_values_that_do_not_fit_the_fields_are_refused(
    values: dict[str, JsonValue] | None, message: str
) -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "number"}}}
    row = requirement(RequirementKind.user_input, fields=[AMOUNT, REASON], arguments_schema=schema)
    with pytest.raises(InvalidDecision, match=message):
        answered(row, values)


@pytest.mark.parametrize("kind", sorted(set(RequirementKind) - {RequirementKind.unknown_outcome}))
def test_a_rejection_says_that_nothing_was_executed(kind: RequirementKind) -> None:
    told = outcome_text(requirement(kind), decided(Verdict.reject, note="Too much."))
    assert told == (
        "This call was rejected by dana and was not executed. Their note: Too much. "
        "Do not repeat it unless asked to."
    )


def test_a_rejection_of_what_may_have_happened_never_says_that_it_did_not() -> None:
    told = outcome_text(requirement(RequirementKind.unknown_outcome), decided(Verdict.reject))
    assert told.startswith("It is unknown whether this call ran; another try was rejected by dana.")
    assert "not executed" not in told


def test_a_deadline_is_nobody_who_rejects() -> None:
    told = outcome_text(requirement(), decided(Verdict.reject, KERN))
    assert told.startswith("This call was rejected and was not executed.")


@pytest.mark.parametrize("verdict", [Verdict.reject, Verdict.fail])
def test_what_kern_notes_itself_is_nobody_s_note(verdict: Verdict) -> None:
    told = outcome_text(requirement(), decided(verdict, KERN, note="Nobody decided until noon."))
    assert "Nobody decided until noon." in told
    assert "Their note" not in told


def test_who_ends_a_run_is_named_with_the_tool() -> None:
    told = outcome_text(requirement(), decided(Verdict.fail, note="Stop."))
    assert told == "'dana' ended the run because of the call of 'refund'. Their note: Stop."


@pytest.mark.parametrize("verdict", [Verdict.result, Verdict.happened])
@pytest.mark.parametrize(
    ("content", "text"),
    [("paid", "paid"), ({"b": 1, "a": None}, '{"a":null,"b":1}'), (None, "null")],
)
def test_a_result_is_told_as_its_text_or_its_json(
    verdict: Verdict, content: JsonValue, text: str
) -> None:
    assert outcome_text(requirement(), decided(verdict, given=content)) == text


@pytest.mark.parametrize(("multiple", "text"), [(False, '"a"'), (True, '["a","b"]')])
def test_one_choice_is_told_as_itself_and_several_as_a_list(text: str, *, multiple: bool) -> None:
    row = requirement(RequirementKind.user_feedback, multiple=multiple)
    chosen: JsonValue = ["a", "b"] if multiple else ["a"]
    assert chosen_text(row, chosen) == text
    assert outcome_text(row, decided(Verdict.choose, given=chosen)) == text


@given(st.none() | st.booleans() | st.integers(-9, 9) | st.text() | st.lists(st.text()))
def test_a_step_that_happened_comes_to_what_it_would_have_returned(content: JsonValue) -> None:
    assert happened_text(content) == canonical_json({"content": content, "stop": False})


def test_what_cannot_be_stored_is_taken_out_before_it_is_hashed() -> None:
    dirty = "a\x00\ud800"
    row = requirement()
    clean = cleaned(
        row,
        draft(
            Verdict.approve,
            note=dirty,
            edit={"k": dirty},
            values={"v": [dirty]},
            result={dirty: dirty},
        ),
    )
    texts = canonical_json([clean.note, clean.edit, clean.values, clean.result])
    texts.encode()
    assert "\\u0000" not in texts
    assert "\x00" not in texts
    assert cleaned(row, clean) == clean


def test_a_decision_without_a_note_stays_without_one() -> None:
    plain = draft(Verdict.approve, by="dana")
    assert cleaned(requirement(), plain) == plain


@pytest.mark.parametrize(
    ("schema", "value", "kept"),
    [
        ({"type": "integer"}, 2.0, 2),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 2.0, 2),
        ({"type": "integer"}, 2.5, 2.5),
        ({"type": "integer"}, True, True),
        ({"type": "number"}, 2.0, 2.0),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, 2.0, 2.0),
        ({}, 2.0, 2.0),
        (True, 2.0, 2.0),
    ],
)
def test_an_integer_is_one_however_it_is_written(
    schema: JsonValue, value: JsonValue, kept: JsonValue
) -> None:
    row = requirement(arguments_schema={"type": "object", "properties": {"n": schema}})
    clean = cleaned(row, draft(Verdict.approve, edit={"n": value, "m": 2.0}, values={"n": value}))
    assert canonical_json([clean.edit, clean.values]) == canonical_json(
        [{"n": kept, "m": 2.0}, {"n": kept}]
    )
