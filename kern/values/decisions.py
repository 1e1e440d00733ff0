"""Decisions of people, as they are filled in, proposed, counted and stored."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import PydanticCustomError

from kern.errors import InvalidDecision, InvalidInput
from kern.values.canonical import canonical_json, clean_json, clean_text
from kern.values.principals import Principal
from kern.values.states import RequirementKind, Verdict

_LONGEST_PATH = 5
LONGEST_NOTE = 8_000
# Before these a person types what the author of the call asks for.
TYPED_VERDICTS = frozenset({Verdict.approve, Verdict.run_again})


def _of_note_length(note: str) -> str:
    # pydantic's own bound refuses text with an unpaired surrogate, which is mended later.
    if len(note) > LONGEST_NOTE:
        raise PydanticCustomError("string_too_long", "too long")
    return note


def comment_text(name: str, text: str) -> str:
    """Return what somebody wrote, as it is kept.

    Raises:
        InvalidInput: it is empty or too long.
    """
    cleaned = clean_text(text)
    if not cleaned.strip():
        raise InvalidInput(f"{name} is blank: write something, or leave it out.")
    if len(cleaned) > LONGEST_NOTE:
        message = f"{name} has {len(cleaned):,} characters: write {LONGEST_NOTE:,} of them at most."
        raise InvalidInput(message)
    return cleaned


class UserInputField(BaseModel):
    """One value that a person fills in: its name, its JSON Schema, and whether it is required.

    Attributes:
        default: What a form is filled with.
        source: Where that was found, for the person.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    type: str = "string"
    description: str = ""
    required: bool = True
    json_schema: dict[str, JsonValue] = Field(default_factory=dict)
    default: JsonValue = None
    source: str | None = None


class DecisionDraft(BaseModel):
    """A decision that was filled in and is not yet submitted.

    Types are strict: `"yes"` is no boolean here.

    Attributes:
        note: Why, for people and for the model; up to 8,000 characters.
        digest: The beginning of the digest of the call that the person was shown, 8 characters or
            more: nothing else is decided.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    verdict: Verdict
    by: str | Principal | None = None
    note: Annotated[str, AfterValidator(_of_note_length)] | None = None
    edit: dict[str, JsonValue] | None = None
    values: dict[str, JsonValue] | None = None
    choices: tuple[str, ...] | None = None
    result: JsonValue = None
    even_if_running: bool = False
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


class Resolution(BaseModel):
    """The decision that closed a requirement: who decided what, why and when (UTC).

    Attributes:
        by: The name of whoever decided.
        principal: Who that is, as whoever authenticated them says.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    by: str
    note: str | None = None
    at: datetime
    edit: dict[str, JsonValue] | None = None
    principal: Principal | None = None


class Vote(BaseModel):
    """What one person decided that let a call run: who, what, why and when (UTC)."""

    model_config = ConfigDict(frozen=True)

    by: str
    principal: Principal
    verdict: Verdict
    note: str | None = None
    at: datetime


class Proposal(BaseModel):
    """What some people would let happen, while more have to agree.

    Only approvals of exactly the same add up. Whoever wants to agree with an edited one passes its
    `edit` to `Requirement.edit`.

    Attributes:
        arguments: The arguments with which the call would run, with values that were filled in.
        edit: What of them was changed; None if they are the frozen ones.
        choices: The choices that were made, if that was asked.
        digest: The digest of `arguments`.
        by: Who proposes it, in the order in which they decided.
        approvals: How many people propose it, of the `quorum` that it takes.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    arguments: dict[str, JsonValue]
    edit: dict[str, JsonValue] | None = None
    choices: list[str] = Field(default_factory=list)
    digest: str
    by: list[str]
    approvals: int
    quorum: int


class EarlierCall(BaseModel):
    """A call of the same tool that the session has executed before.

    Attributes:
        run_id: The run in which it was executed.
        outcome: `result`, `error` or `unknown`.
        result: The beginning of its result.
        at: When it ended, or began if its outcome is unknown (UTC).
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    outcome: str
    result: str | None = None
    at: datetime


def _first_problem(error: ValidationError) -> str:
    """Return in one line why a decision cannot be filled in.

    pydantic would name its own types, show values that may be secret, and take many lines.
    """
    # The input is left out: a value that is nested too deeply has no representation either.
    [first, *_] = error.errors(include_input=False, include_url=False)
    name, *path = [str(part) for part in first["loc"] if part not in {"dict", "list", "[key]"}]
    if name == "by":
        # Whichever of its types was tried first.
        path = []
    where = f", at {'.'.join(path[:_LONGEST_PATH])}," if path else ""
    expected = "text" if first["type"] == "string_type" else "JSON"
    if name == "digest":
        expected = "the beginning of a digest, 8 characters or more of 0 to 9 and a to f"
    if first["type"] == "string_too_long":
        expected = f"text of at most {LONGEST_NOTE:,} characters"
    if "recursion" in first["type"]:
        expected = "JSON of a depth that can be kept"
    return f"its {name!r}{where} is not {expected}."


def new_draft(requirement_id: str, values: dict[str, object]) -> DecisionDraft:
    """Return the decision that these values make.

    Raises:
        InvalidDecision: they do not fit; the message names the requirement and the first of them.
    """
    try:
        draft = DecisionDraft.model_validate(values)
        for value in (draft.edit, draft.values, draft.result):
            canonical_json(clean_json(value))
    except (ValidationError, InvalidInput) as error:
        why = _first_problem(error) if isinstance(error, ValidationError) else str(error)
        message = f"The decision about requirement {requirement_id!r} was not filled in: {why}"
        raise InvalidDecision(message) from None
    return draft


def require_dict(value: object, expected: str) -> dict[str, JsonValue]:
    """Return what a person filled in by name; `expected` says what that is.

    Raises:
        InvalidDecision: it is no mapping.
    """
    if isinstance(value, Mapping):
        return dict(value)
    message = f"{expected}; {_type_of(value)} is none."
    raise InvalidDecision(message)


def require_choices(value: object) -> tuple[object, ...]:
    """Return what a person chose: one text, or several values.

    Raises:
        InvalidDecision: it is neither.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable):
        return tuple(value)
    message = f"provide_user_feedback() takes a choice or a list of them; {_type_of(value)} is none"
    raise InvalidDecision(f"{message}.")


def _type_of(value: object) -> str:
    return f"a value of type {type(value).__name__!r}"


# How each kind is decided, in the words of the methods of a requirement.
METHODS: dict[RequirementKind, str] = {
    RequirementKind.confirmation: "confirm(), edit() or reject()",
    RequirementKind.user_input: "provide_user_input() or reject()",
    RequirementKind.user_feedback: "provide_user_feedback() or reject()",
    RequirementKind.external_execution: (
        "set_external_execution_result(), mark_unknown() or reject()"
    ),
    RequirementKind.unknown_outcome: "mark_happened(), run_again(), fail() or reject()",
    RequirementKind.output_review: "confirm(), edit(), run_again(), fail() or reject()",
    RequirementKind.error: "run_again(), skip(), fail() or reject()",
}
