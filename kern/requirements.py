"""What a run waits for from a person, and the decision that a person fills in."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, ValidationError

from kern.errors import AlreadyResolved, InvalidDecision, InvalidInput
from kern.values.canonical import arguments_digest, canonical_json, clean_json
from kern.values.states import OnExpiry, RequirementKind, RequirementStatus, Verdict

_LONGEST_PATH = 5


class UserInputField(BaseModel):
    """One value that a person is asked for.

    Its name, JSON Schema, and whether it may be left out.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    type: str = "string"
    description: str = ""
    required: bool = True
    json_schema: dict[str, JsonValue] = Field(default_factory=dict)
    default: JsonValue = None


class DecisionDraft(BaseModel):
    """A decision that was filled in and not yet submitted.

    Types are strict: `"yes"` is no boolean here.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    verdict: Verdict
    by: str | None = None
    note: str | None = None
    edit: dict[str, JsonValue] | None = None
    values: dict[str, JsonValue] | None = None
    choices: tuple[str, ...] | None = None
    result: JsonValue = None


class Resolution(BaseModel):
    """What closed a requirement: who, what, why and when (UTC)."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    by: str
    note: str | None = None
    at: datetime
    edit: dict[str, JsonValue] | None = None


class Requirement(BaseModel):
    """Something that a run waits for from a person.

    Its methods fill in a decision on this object; `Agent.continue_run` submits it. Nothing is sent
    before that, and the database decides who was first. `digest` freezes `arguments`: an object
    whose arguments were changed other than by `edit` is refused when it is submitted. `path` says
    where it came up: the names of the runs from the root's on, and the tool's.
    """

    model_config = ConfigDict(validate_assignment=False)

    id: str
    run_id: str
    session_id: str
    user_id: str | None = None
    kind: RequirementKind
    status: RequirementStatus = RequirementStatus.pending
    path: list[str] = Field(default_factory=list)
    tool_call_id: str | None = None
    tool_name: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    digest: str = ""
    question: str | None = None
    fields: list[UserInputField] = Field(default_factory=list)
    choices: list[str] = Field(default_factory=list)
    multiple: bool = False
    candidates: list[str] = Field(default_factory=list)
    excluded: list[str] = Field(default_factory=list)
    quorum: int = 1
    approvals: int = 0
    created_at: datetime
    due_at: datetime | None = None
    on_expiry: OnExpiry = OnExpiry.reject
    resolution: Resolution | None = None

    _draft: DecisionDraft | None = PrivateAttr(default=None)

    @property
    def is_resolved(self) -> bool:
        """Whether it is closed in the database, or a decision was filled in on this object."""
        return self.status is not RequirementStatus.pending or self._draft is not None

    @property
    def needs_confirmation(self) -> bool:
        """Whether it waits for `confirm`, `edit` or `reject`."""
        return self._needs(RequirementKind.confirmation)

    @property
    def needs_user_input(self) -> bool:
        """Whether it waits for `provide_user_input`."""
        return self._needs(RequirementKind.user_input)

    @property
    def needs_user_feedback(self) -> bool:
        """Whether it waits for `provide_user_feedback`."""
        return self._needs(RequirementKind.user_feedback)

    @property
    def needs_external_execution(self) -> bool:
        """Whether it waits for `set_external_execution_result`."""
        return self._needs(RequirementKind.external_execution)

    @property
    def needs_outcome(self) -> bool:
        """Whether it waits for `mark_happened`, `run_again`, `reject` or `fail`."""
        return self._needs(RequirementKind.unknown_outcome)

    @property
    def needs_output_review(self) -> bool:
        """Whether it waits for `confirm`, `edit`, `reject` or `fail`, about what a step came to."""
        return self._needs(RequirementKind.output_review)

    @property
    def needs_error_decision(self) -> bool:
        """Whether it waits for `run_again`, `skip` or `fail`, because a step failed."""
        return self._needs(RequirementKind.error)

    @property
    def draft(self) -> DecisionDraft | None:
        """The decision that was filled in and not yet submitted."""
        return self._draft

    @property
    def submitted_digest(self) -> str:
        """The digest of the arguments as this object holds them now."""
        return arguments_digest(self.tool_name or "", self.arguments)

    def confirm(self, note: str | None = None, by: str | None = None) -> Self:
        """Approve the call or the output; after `edit`, with what was edited."""
        self._expect("confirm", RequirementKind.confirmation, RequirementKind.output_review)
        before = self._draft if self._draft is not None and self._draft.edit is not None else None
        if before is not None:
            note, by = note or before.note, by or before.by
        edit = before.edit if before is not None else None
        return self._fill(Verdict.approve, note=note, by=by, edit=edit)

    def edit(
        self, arguments: dict[str, JsonValue], note: str | None = None, by: str | None = None
    ) -> Self:
        """Approve the call with other arguments: those named replace the frozen ones.

        Of an output that is reviewed, `output` is what is replaced.

        The result is validated against the tool's schema when it is submitted, and recorded beside
        the original.
        """
        self._expect("edit", RequirementKind.confirmation, RequirementKind.output_review)
        changes = _dict_of(arguments, "edit() takes a dict of the arguments to change")
        return self._fill(Verdict.approve, note=note, by=by, edit=changes)

    def reject(self, note: str | None = None, by: str | None = None) -> Self:
        """Refuse the call: it never runs, and the model is told so with the note.

        An output that is reviewed is done again with the note, unless its author said otherwise.
        """
        return self._fill(Verdict.reject, note=note, by=by)

    def provide_user_input(
        self, values: dict[str, JsonValue], note: str | None = None, by: str | None = None
    ) -> Self:
        """Give the values of the fields that the call asks a person for."""
        self._expect("provide_user_input", RequirementKind.user_input)
        given = _dict_of(values, "provide_user_input() takes a dict of the values asked for")
        return self._fill(Verdict.answer, note=note, by=by, values=given)

    def provide_user_feedback(
        self, choices: str | list[str], note: str | None = None, by: str | None = None
    ) -> Self:
        """Choose among the options: one, or several where `multiple` is set."""
        self._expect("provide_user_feedback", RequirementKind.user_feedback)
        return self._fill(Verdict.choose, note=note, by=by, choices=_chosen(choices))

    def set_external_execution_result(
        self, result: JsonValue, note: str | None = None, by: str | None = None
    ) -> Self:
        """Give the result of a call that was executed outside Kern."""
        self._expect("set_external_execution_result", RequirementKind.external_execution)
        return self._fill(Verdict.result, note=note, by=by, result=result)

    def mark_happened(
        self, result: JsonValue, note: str | None = None, by: str | None = None
    ) -> Self:
        """Say that a call with an unknown outcome did happen, with this result.

        It is not run again.
        """
        self._expect("mark_happened", RequirementKind.unknown_outcome)
        return self._fill(Verdict.happened, note=note, by=by, result=result)

    def run_again(self, note: str | None = None, by: str | None = None) -> Self:
        """Have a call with an unknown outcome executed once more, with the approved arguments.

        A step that failed is done once more from its beginning.
        """
        self._expect("run_again", RequirementKind.unknown_outcome, RequirementKind.error)
        return self._fill(Verdict.run_again, note=note, by=by)

    def skip(self, note: str | None = None, by: str | None = None) -> Self:
        """Go on without a step that failed."""
        self._expect("skip", RequirementKind.error)
        return self._fill(Verdict.skip, note=note, by=by)

    def fail(self, note: str | None = None, by: str | None = None) -> Self:
        """End the run with an error because nobody can say what a call did.

        A step that failed, or whose output is reviewed, fails for good.
        """
        kinds = (RequirementKind.error, RequirementKind.output_review)
        self._expect("fail", RequirementKind.unknown_outcome, *kinds)
        return self._fill(Verdict.fail, note=note, by=by)

    def _needs(self, kind: RequirementKind) -> bool:
        return self.kind is kind and not self.is_resolved

    def _fill(self, verdict: Verdict, **given: object) -> Self:
        if self.status is not RequirementStatus.pending:
            raise AlreadyResolved(self.closed_message())
        try:
            draft = DecisionDraft.model_validate({"verdict": verdict, **given})
            for value in (draft.edit, draft.values, draft.result):
                canonical_json(clean_json(value))
        except (ValidationError, InvalidInput) as error:
            why = _first_problem(error) if isinstance(error, ValidationError) else str(error)
            message = f"The decision about requirement {self.id!r} was not filled in: {why}"
            raise InvalidDecision(message) from None
        self._draft = draft
        return self

    def _expect(self, method: str, *kinds: RequirementKind) -> None:
        if self.kind not in kinds:
            message = (
                f"Requirement {self.id!r} waits for {self.kind.value}, so {method}() does not fit "
                "it. "
                f"Use {METHODS[self.kind]}."
            )
            raise InvalidDecision(message)

    def closed_message(self) -> str:
        """Say in one line who closed this requirement, how and when."""
        if self.resolution is None:
            return f"Requirement {self.id!r} is {self.status.value} and takes no decision."
        done = self.resolution
        note = f" ({done.note.rstrip('.')})" if done.note else ""
        return (
            f"Requirement {self.id!r} was already {self.status.value}: {done.by!r} decided "
            f"{done.verdict.value!r} at {done.at.isoformat(timespec='seconds')}{note}. Nothing was "
            "changed."
        )


def _dict_of(given: object, wanted: str) -> dict[str, JsonValue]:
    if isinstance(given, Mapping):
        return dict(given)
    message = f"{wanted}; {_kind_of(given)} is none."
    raise InvalidDecision(message)


def _chosen(given: object) -> tuple[object, ...]:
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Iterable):
        return tuple(given)
    message = f"provide_user_feedback() takes a choice or a list of them; {_kind_of(given)} is none"
    raise InvalidDecision(f"{message}.")


def _first_problem(error: ValidationError) -> str:
    """Say what is wrong in one line.

    pydantic would name its own types, show values that may be secret, and take many lines.
    """
    # What is nested too deeply has no representation either.
    [first, *_] = error.errors(include_input=False, include_url=False)
    name, *path = [str(part) for part in first["loc"] if part not in {"dict", "list", "[key]"}]
    where = f", at {'.'.join(path[:_LONGEST_PATH])}," if path else ""
    wanted = "text" if first["type"] == "string_type" else "JSON"
    if "recursion" in first["type"]:
        wanted = "JSON of a depth that can be kept"
    return f"its {name!r}{where} is not {wanted}."


def _kind_of(given: object) -> str:
    return f"a value of type {type(given).__name__!r}"


METHODS: dict[RequirementKind, str] = {
    RequirementKind.confirmation: "confirm(), edit() or reject()",
    RequirementKind.user_input: "provide_user_input() or reject()",
    RequirementKind.user_feedback: "provide_user_feedback() or reject()",
    RequirementKind.external_execution: "set_external_execution_result() or reject()",
    RequirementKind.unknown_outcome: "mark_happened(), run_again(), fail() or reject()",
    RequirementKind.output_review: "confirm(), edit(), fail() or reject()",
    RequirementKind.error: "run_again(), skip(), fail() or reject()",
}
