"""Which decisions fit which requirements, and the text that reports a decision to the model."""

from collections.abc import Mapping

from pydantic import JsonValue

from kern.db.decisions.edit_bounds import check_bounds
from kern.db.engine.records import RequirementRecord
from kern.db.journal.audit_chain import NewDecision
from kern.db.journal.votes import proposed_arguments
from kern.errors import InvalidDecision
from kern.requirements import DecisionDraft, UserInputField
from kern.values import json_formats
from kern.values.canonical import canonical_json, clean_json, clean_text
from kern.values.decisions import METHODS
from kern.values.principals import KERN
from kern.values.states import RequirementKind, Verdict

_LONG_BITS = 256
_FITTING: Mapping[RequirementKind, frozenset[Verdict]] = {
    RequirementKind.confirmation: frozenset({Verdict.approve, Verdict.reject}),
    RequirementKind.user_input: frozenset({Verdict.answer, Verdict.reject}),
    RequirementKind.user_feedback: frozenset({Verdict.choose, Verdict.reject}),
    RequirementKind.external_execution: frozenset(
        {Verdict.result, Verdict.unknown, Verdict.reject}
    ),
    RequirementKind.unknown_outcome: frozenset(
        {Verdict.happened, Verdict.run_again, Verdict.reject, Verdict.fail}
    ),
    RequirementKind.output_review: frozenset(
        {Verdict.approve, Verdict.reject, Verdict.run_again, Verdict.fail}
    ),
    RequirementKind.error: frozenset(
        {Verdict.run_again, Verdict.skip, Verdict.fail, Verdict.reject}
    ),
}


def cleaned(row: RequirementRecord, draft: DecisionDraft) -> DecisionDraft:
    """Return a decision without characters that cannot be stored, so that its hash verifies.

    Where the tool takes an integer, `2.0` is `2`: who types either proposes the same.
    """
    return draft.model_copy(
        update={
            "note": None if draft.note is None else clean_text(draft.note),
            "edit": _with_integers(row, draft.edit),
            "values": _with_integers(row, draft.values),
            "result": clean_json(draft.result),
        }
    )


def _with_integers(
    row: RequirementRecord, arguments: dict[str, JsonValue] | None
) -> dict[str, JsonValue] | None:
    stored = clean_json(dict(arguments)) if arguments is not None else None
    if not isinstance(stored, dict):
        return None
    return {
        name: int(value)
        if isinstance(value, float) and value.is_integer() and _is_integer(row, name)
        else value
        for name, value in stored.items()
    }


def _is_integer(row: RequirementRecord, name: str) -> bool:
    properties = row.arguments_schema.get("properties")
    schema = properties.get(name) if isinstance(properties, dict) else None
    if not isinstance(schema, dict):
        return False
    variants = schema.get("anyOf", [schema])
    types = [
        variant.get("type")
        for variant in (variants if isinstance(variants, list) else [])
        if isinstance(variant, dict)
    ]
    return "integer" in types and "number" not in types


def check_fit(row: RequirementRecord, draft: DecisionDraft) -> None:
    """Check that a decision fits its requirement.

    Raises:
        InvalidDecision: it does not fit; the message says what would.
    """
    kind = RequirementKind(row.kind)
    if draft.verdict not in _FITTING[kind]:
        message = (
            f"Requirement {row.id!r} waits for {kind.value}; {draft.verdict.value!r} does not fit "
            "it. "
            f"Use {METHODS[kind]}."
        )
        raise InvalidDecision(message)
    if draft.verdict is Verdict.choose:
        _check_choices(row, draft.choices or ())
    if draft.verdict is Verdict.unknown and not (draft.note or "").strip():
        message = (
            f"Say in the note why nobody knows whether the call of requirement {row.id!r} "
            "happened: whoever looks it up reads it. Nothing was decided."
        )
        raise InvalidDecision(message)


def approved_arguments(row: RequirementRecord, draft: DecisionDraft) -> dict[str, JsonValue] | None:
    """Return the arguments that replace the frozen ones; None if the decision keeps those.

    Raises:
        InvalidDecision: the values do not fit the tool's schema, or are out of its author's bounds.
    """
    if draft.verdict is Verdict.answer:
        fields = [UserInputField.model_validate(item) for item in row.fields]
        _check_fields(row, fields, draft.values or {})
    check_bounds(row, draft)
    arguments = proposed_arguments(row, draft.verdict, draft.edit, draft.values)
    if arguments is not None:
        _check_schema(row, arguments, row.arguments_schema)
    return arguments


def outcome_text(row: RequirementRecord, decision: NewDecision) -> str:
    """Return the result of a call that a person decided, as the model reads it."""
    # Kern's own note says what happened, such as that nobody decided in time.
    label = "" if decision.actor == KERN else "Their note: "
    note = f" {label}{decision.note.rstrip('.')}." if decision.note else ""
    match decision.verdict:
        case Verdict.reject:
            by = "" if decision.actor == "kern" else f" by {decision.actor}"
            text = f"This call was rejected{by} and was not executed.{note}"
            # Where a result is asked for once more, nobody knows of the first time.
            if row.kind == RequirementKind.unknown_outcome.value or row.attempt is not None:
                text = f"It is unknown whether this call ran; another try was rejected{by}.{note}"
            return f"{text} Do not repeat it unless asked to."
        case Verdict.fail:
            return (
                f"{decision.actor!r} ended the run because of the call of {row.tool_name!r}.{note}"
            )
        case Verdict.choose:
            return chosen_text(row, decision.given)
        case _:
            value = decision.given
            return value if isinstance(value, str) else canonical_json(value)


def chosen_text(row: RequirementRecord, value: JsonValue) -> str:
    """Return the result of a call that asked a person to choose."""
    choices = value if isinstance(value, list) else []
    return canonical_json(choices if row.multiple else choices[0])


def happened_text(value: JsonValue) -> str:
    """Return the result of a step's call that a person reports as executed."""
    return canonical_json({"content": value, "stop": False})


def _check_choices(row: RequirementRecord, choices: tuple[str, ...]) -> None:
    offered = ", ".join(repr(choice) for choice in row.choices)
    unknown = [choice for choice in choices if choice not in row.choices]
    if unknown:
        message = f"{unknown[0]!r} is none of the choices of requirement {row.id!r}: {offered}."
        raise InvalidDecision(message)
    if len(set(choices)) < len(choices):
        double = next(choice for choice in choices if choices.count(choice) > 1)
        message = f"{double!r} was chosen twice for requirement {row.id!r}: choose each once."
        raise InvalidDecision(message)
    if not choices or (len(choices) > 1 and not row.multiple):
        allowed = "at least one" if row.multiple else "exactly one"
        message = f"Requirement {row.id!r} takes {allowed} of {offered}; {len(choices)} were given."
        raise InvalidDecision(message)


def _check_fields(
    row: RequirementRecord, fields: list[UserInputField], values: dict[str, JsonValue]
) -> None:
    names = [item.name for item in fields]
    unknown = sorted(set(values) - set(names))
    missing = [item.name for item in fields if item.required and item.name not in values]
    if unknown or missing:
        problem = f"{unknown[0]!r} is not asked for" if unknown else f"{missing[0]!r} is missing"
        message = (
            f"The values for requirement {row.id!r} do not fit: {problem}. It asks for "
            f"{', '.join(names)}."
        )
        raise InvalidDecision(message)


def _check_schema(
    row: RequirementRecord, value: dict[str, JsonValue], schema: Mapping[str, JsonValue]
) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to import, seldom needed

    validator = Draft202012Validator(dict(schema), format_checker=json_formats.checker())
    error = next(iter(validator.iter_errors(value)), None)
    problem = _inexact(value, schema)
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "arguments"
        problem = f"{where}: {error.message}"
    if problem is None:
        return
    message = (
        f"The arguments for {row.tool_name!r} (requirement {row.id!r}) do not fit its schema: "
        f"{problem}. Nothing was decided."
    )
    raise InvalidDecision(message)


def _inexact(value: dict[str, JsonValue], schema: Mapping[str, JsonValue]) -> str | None:
    """Name an integer that a float parameter would silently round.

    Nested values are checked when the call is about to run.
    """
    properties = schema.get("properties")
    for name, number in value.items():
        shape = properties.get(name) if isinstance(properties, dict) else None
        is_float = isinstance(shape, dict) and shape.get("type") == "number"
        if is_float and isinstance(number, int) and not _is_exact(number):
            # Python refuses to print integers of thousands of digits.
            digits = number if number.bit_length() < _LONG_BITS else "a number that long"
            return f"{name}: {digits} cannot be held exactly by a float"
    return None


def _is_exact(number: int) -> bool:
    try:
        return float(number) == number
    except OverflowError:
        return False
