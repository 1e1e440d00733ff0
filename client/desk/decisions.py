"""Decisions from the console's forms: what was posted, as the body that the API takes."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import JsonValue, ValidationError

from kern.client.api.decisions import DecisionBody
from kern.client.console.decision_form import DecisionForm, Draft
from kern.client.console.edit import EditResult, read_edit
from kern.client.console.facts import Facts, arguments_of
from kern.client.console.form_fields import Posted
from kern.client.console.form_values import read_choices, read_input, read_result
from kern.client.desk.forms import text_in
from kern.client.web.problems import ProblemError
from kern.contracts.typed_values import value_to_type
from kern.requirements import Requirement
from kern.values.decisions import TYPED_VERDICTS
from kern.values.states import RequirementKind, Verdict

# As long as an `Idempotency-Key` may be.
_LONGEST_KEY = 64
_NOTED = frozenset({Verdict.reject, Verdict.unknown})


@dataclass(frozen=True)
class RefusedForm(Exception):
    """A form that cannot be sent as it is; everything that was typed is kept."""

    draft: Draft
    problem: ProblemError | None = None
    edit: EditResult | None = None


def decision_id_of(posted: Posted) -> str:
    """Return the id under which a form's decision counts once.

    Raises:
        ProblemError: the form has none.
    """
    decision_id = text_in(posted, "decision_id")
    is_key = (
        0 < len(decision_id) <= _LONGEST_KEY and decision_id.isascii() and decision_id.isprintable()
    )
    if is_key:
        return decision_id
    detail = "The form has no id for its decision. Nothing was decided. Reload the page."
    raise ProblemError(400, "malformed", detail)


def body_of(
    requirement: Requirement, facts: Facts, form: DecisionForm, posted: Posted
) -> DecisionBody:
    """Return what a form decides.

    Raises:
        RefusedForm: a value is missing or does not fit.
        ProblemError: it decides nothing that this requirement takes.
    """
    name = text_in(posted, "verdict")
    if name not in set(Verdict):
        raise RefusedForm(Draft(posted), _problem("Choose what to do first."))
    verdict = Verdict(name)
    note = text_in(posted, "note").replace("\r\n", "\n").strip() or None
    _check_note(requirement, verdict, note, posted)
    is_edited = verdict is Verdict.approve and text_in(posted, "edited") == "true"
    edit = _edit(requirement, facts, posted) if is_edited else None
    digest = text_in(posted, "digest")
    edited = None if edit is None else _edited(requirement, facts, edit)
    expected = form.confirm_value if edit is None else value_to_type(requirement, edited, None)
    _check_typed(expected, verdict, posted, edit)
    values: dict[str, Any] = {"verdict": name, "note": note, "digest": digest}
    if requirement.confirm_value is not None and verdict in TYPED_VERDICTS:
        # What was typed is that, whatever way numbers were grouped.
        values["confirm"] = (
            value_to_type(requirement, edited, digest)
            if verdict is Verdict.approve
            else requirement.confirm_value
        )
    if edited:
        values["edit"] = edited
    values |= _content(requirement, verdict, posted)
    try:
        return DecisionBody.model_validate(values)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RefusedForm(Draft(posted), _problem(f"{place} does not fit.")) from None


def _content(requirement: Requirement, verdict: Verdict, posted: Posted) -> dict[str, Any]:
    if verdict is Verdict.answer:
        return _values(requirement, posted)
    contents: dict[Verdict, Callable[[], dict[str, Any]]] = {
        Verdict.choose: lambda: {"choices": _choices(requirement, posted)},
        Verdict.result: lambda: {"result": read_result(text_in(posted, "result"))},
        Verdict.happened: lambda: {"result": _stated(posted)},
    }
    return contents[verdict]() if verdict in contents else {}


def _edit(requirement: Requirement, facts: Facts, posted: Posted) -> EditResult:
    result = read_edit(requirement, facts, posted)
    if result.problems or not result.changes:
        problem = None if result.problems else _problem("Nothing was changed.")
        raise RefusedForm(Draft(posted), problem, result)
    return result


def _edited(requirement: Requirement, facts: Facts, edit: EditResult) -> dict[str, JsonValue]:
    """Return what an edit of the version under review changes of what the agent asked for."""
    edited = {**arguments_of(requirement, facts), **edit.changes}
    asked = requirement.arguments
    return {
        name: value for name, value in edited.items() if name not in asked or asked[name] != value
    }


def _values(requirement: Requirement, posted: Posted) -> dict[str, Any]:
    result = read_input(requirement.fields, posted)
    if result.problems:
        raise RefusedForm(Draft(posted, tuple(result.fields), tuple(result.problems)))
    return {"values": result.values}


def _choices(requirement: Requirement, posted: Posted) -> list[str]:
    choices = read_choices(requirement.choices, posted)
    if not choices:
        raise RefusedForm(Draft(posted), _problem("Choose one of the options."))
    return choices


def _stated(posted: Posted) -> Any:  # noqa: ANN401  a JSON value
    text = text_in(posted, "result")
    if not text.strip():
        raise RefusedForm(Draft(posted), _problem("Give the result that the agent gets."))
    return read_result(text)


def _check_note(
    requirement: Requirement, verdict: Verdict, note: str | None, posted: Posted
) -> None:
    """A rejection says why; a decision about an unknown outcome says what was checked."""
    if note is not None:
        return
    if requirement.kind is RequirementKind.unknown_outcome:
        raise RefusedForm(Draft(posted), _problem("Say what you checked, in the note."))
    if verdict in _NOTED:
        raise RefusedForm(Draft(posted), _problem("Say why, in the note."))


def _check_typed(
    expected: str | None, verdict: Verdict, posted: Posted, edit: EditResult | None
) -> None:
    if (
        verdict not in TYPED_VERDICTS
        or expected is None
        or same_typed(text_in(posted, "typed"), expected)
    ):
        return
    detail = f"Type {expected} to confirm it. Nothing was decided."
    raise RefusedForm(Draft(posted), ProblemError(422, "confirmation_mismatch", detail), edit)


def same_typed(entry: str, expected: str) -> bool:
    """Whether what a person typed is what was asked for; numbers may be grouped."""
    number, expected_number = _number(entry), _number(expected)
    if number is not None and expected_number is not None:
        return number == expected_number
    return entry.strip() == expected.strip()


def _number(text: str) -> Decimal | None:
    bare = "".join(text.split()).replace(",", "")
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _problem(detail: str) -> ProblemError:
    return ProblemError(422, "invalid_decision", f"{detail} Nothing was decided.")
