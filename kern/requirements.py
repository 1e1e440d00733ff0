"""Requirements: what a run waits for from a person, and the decision that the person fills in."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr

from kern.errors import AlreadyResolved, InvalidDecision
from kern.values.attempts import UnknownAttempt, UnknownReason
from kern.values.bounds import Bounds
from kern.values.canonical import arguments_digest
from kern.values.decisions import (
    METHODS,
    DecisionDraft,
    EarlierCall,
    Proposal,
    Resolution,
    UserInputField,
    Vote,
    new_draft,
    require_choices,
    require_dict,
)
from kern.values.principals import Principal
from kern.values.states import (
    OnExpiry,
    PrincipalKind,
    RequirementKind,
    RequirementStatus,
    Risk,
    Verdict,
)
from kern.values.triage import Claim, Delegation

__all__ = [
    "Bounds",
    "Claim",
    "DecisionDraft",
    "Delegation",
    "OnExpiry",
    "Principal",
    "PrincipalKind",
    "Proposal",
    "Requirement",
    "RequirementKind",
    "RequirementStatus",
    "Resolution",
    "Risk",
    "UnknownAttempt",
    "UnknownReason",
    "UserInputField",
    "Verdict",
    "Vote",
]


class Requirement(BaseModel):
    """Something that a run waits for from a person.

    Its methods fill in a decision on this object; `Agent.continue_run` submits it. Nothing is sent
    before that, and the database decides who was first. `confirm` and `approve` are one method
    under two names: verdicts, the CLI and the audit say `approve`.

    Attributes:
        tenant: The tenant that it belongs to, as who decides has to; the default one is empty.
        path: Where it arose: the names of the runs from the root's on, and the tool's.
        digest: Freezes `arguments`: if they were changed other than by `edit`, the decision is
            refused when it is submitted.
        current_arguments: The arguments as the latest edit that still counts has them; `arguments`
            while there is none. What is shown of the call, such as `title`, has these values.
        current_digest: The digest of `current_arguments`.
        edited_by: Who made that edit.
        shape: The same for requirements that look alike, whatever the values in them.
        delivered_at: When Temporal heard of the decision that closed it; None until then.
        title: A line about it in the words of the call's author, with values of the call; None if
            the author gave none.
        risk: How much harm a wrong decision does, as the author sees it.
        consequence: What happens once it is approved, in the author's words.
        confirm_value: What a surface has the person type before they approve; None for nothing.
        bounds: How each argument may be edited; those that are not in it may not. None leaves all
            of them free.
        subject: What the call is about.
        amount: How much it moves, in plain decimal digits.
        unit: Of what.
        where_to_look: Where to find out whether a call of unknown outcome happened.
        attempt: What is known of the attempt whose outcome is unknown.
        not_executed: Why the call was not executed although it was approved: its tool refuses the
            arguments by now, or its run ended before it began. None if it was, or may yet be.
        earlier_calls: While it is pending, the latest calls of the same tool that the session has
            executed, such as a payment in a run that failed afterwards.
        approvals: How many people agree with the same proposal: with the one that most agree with.
        proposals: What people have approved so far, while that is not enough.
        claim: Who takes care of it; None if nobody does, or their time is over.
        delegations: Who has handed the decision to whom, the oldest first. Those may decide beside
            the candidates.
    """

    model_config = ConfigDict(validate_assignment=False)

    id: str
    run_id: str
    session_id: str
    tenant: str = ""
    user_id: str | None = None
    kind: RequirementKind
    status: RequirementStatus = RequirementStatus.pending
    path: list[str] = Field(default_factory=list)
    tool_call_id: str | None = None
    tool_name: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    digest: str = ""
    current_arguments: dict[str, JsonValue] = Field(default_factory=dict)
    current_digest: str = ""
    edited_by: str | None = None
    question: str | None = None
    title: str | None = None
    risk: Risk = Risk.normal
    consequence: str | None = None
    confirm_value: str | None = None
    bounds: dict[str, Bounds] | None = None
    subject: str | None = None
    amount: str | None = None
    unit: str | None = None
    shape: str = ""
    where_to_look: str | None = None
    attempt: UnknownAttempt | None = None
    fields: list[UserInputField] = Field(default_factory=list)
    choices: list[str] = Field(default_factory=list)
    multiple: bool = False
    candidates: list[str] = Field(default_factory=list)
    excluded: list[str] = Field(default_factory=list)
    quorum: int = 1
    approvals: int = 0
    proposals: list[Proposal] = Field(default_factory=list)
    created_at: datetime
    due_at: datetime | None = None
    on_expiry: OnExpiry = OnExpiry.reject
    resolution: Resolution | None = None
    delivered_at: datetime | None = None
    earlier_calls: list[EarlierCall] = Field(default_factory=list)
    not_executed: str | None = None
    claim: Claim | None = None
    delegations: list[Delegation] = Field(default_factory=list)

    _draft: DecisionDraft | None = PrivateAttr(default=None)
    # For whom Kern read it. Not a field: JSON that somebody sends cannot carry it.
    _reader: str | None = PrivateAttr(default=None)

    @property
    def is_resolved(self) -> bool:
        """Whether it is closed in the database, or a decision is filled in on this object."""
        return self.status is not RequirementStatus.pending or self._draft is not None

    @property
    def needs_confirmation(self) -> bool:
        """Whether it waits for `confirm` (or `approve`), `edit` or `reject`."""
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
        """Whether it waits for `set_external_execution_result` or `mark_unknown`."""
        return self._needs(RequirementKind.external_execution)

    @property
    def needs_outcome(self) -> bool:
        """Whether it waits for `mark_happened`, `run_again`, `reject` or `fail`."""
        return self._needs(RequirementKind.unknown_outcome)

    @property
    def needs_output_review(self) -> bool:
        """Whether it waits for `confirm`, `edit`, `reject` or `fail`, about a step's output."""
        return self._needs(RequirementKind.output_review)

    @property
    def needs_error_decision(self) -> bool:
        """Whether it waits for `run_again`, `skip` or `fail`, because a step failed."""
        return self._needs(RequirementKind.error)

    @property
    def draft(self) -> DecisionDraft | None:
        """The decision that was filled in and is not yet submitted."""
        return self._draft

    def confirm(
        self,
        note: str | None = None,
        by: str | Principal | None = None,
        *,
        digest: str | None = None,
    ) -> Self:
        """Approve the call or the output; after `edit`, with the edited arguments.

        `approve` does the same. The decision's verdict is `Verdict.approve`, and the command of the
        CLI is `kern approve`.

        With the `digest` of what the person was shown, or its first 8 characters or more, nothing
        else is approved: that of the call, of the call as edited, or of an open proposal, with
        which the person agrees then.
        """
        return self._approve("confirm", note, by, digest)

    def approve(
        self,
        note: str | None = None,
        by: str | Principal | None = None,
        *,
        digest: str | None = None,
    ) -> Self:
        """Approve the call or the output: `confirm` under the name of its verdict."""
        return self._approve("approve", note, by, digest)

    def edit(
        self,
        arguments: dict[str, JsonValue],
        note: str | None = None,
        by: str | Principal | None = None,
        *,
        digest: str | None = None,
    ) -> Self:
        """Approve the call with other arguments: those given replace the frozen ones.

        In the review of an output, `output` is the name of what is replaced.

        The arguments are validated against the tool's schema when they are submitted, and recorded
        beside the original ones.
        """
        self._expect("edit", RequirementKind.confirmation, RequirementKind.output_review)
        changes = require_dict(arguments, "edit() takes a dict of the arguments to change")
        return self._fill(Verdict.approve, note=note, by=by, edit=changes, digest=digest)

    def reject(self, note: str | None = None, by: str | Principal | None = None) -> Self:
        """Reject the requirement.

        A gated call will not run, and the model gets the note instead of a result. A step whose
        output is reviewed is executed again with the note, unless `on_reject` says otherwise or
        that would repeat what must happen only once (`effect="once"`): then it fails. A
        call whose outcome is unknown is not executed again. A step that failed stays failed.
        """
        return self._fill(Verdict.reject, note=note, by=by)

    def provide_user_input(
        self,
        values: dict[str, JsonValue],
        note: str | None = None,
        by: str | Principal | None = None,
    ) -> Self:
        """Fill in the values of `fields`."""
        self._expect("provide_user_input", RequirementKind.user_input)
        filled_in = require_dict(
            values, "provide_user_input() takes a dict of the values asked for"
        )
        return self._fill(Verdict.answer, note=note, by=by, values=filled_in)

    def provide_user_feedback(
        self, choices: str | list[str], note: str | None = None, by: str | Principal | None = None
    ) -> Self:
        """Choose among the options: one, or several where `multiple` is set."""
        self._expect("provide_user_feedback", RequirementKind.user_feedback)
        return self._fill(Verdict.choose, note=note, by=by, choices=require_choices(choices))

    def set_external_execution_result(
        self, result: JsonValue, note: str | None = None, by: str | Principal | None = None
    ) -> Self:
        """Give the result of a call that was executed outside Kern."""
        self._expect("set_external_execution_result", RequirementKind.external_execution)
        return self._fill(Verdict.result, note=note, by=by, result=result)

    def mark_unknown(self, note: str, by: str | Principal | None = None) -> Self:
        """State that nobody knows whether a call happened that was executed outside Kern, and why.

        It is not reported as failed. The tool's reconciler looks it up, if there is one; otherwise
        an `unknown_outcome` is opened with what is known, such as this note.
        """
        self._expect("mark_unknown", RequirementKind.external_execution)
        return self._fill(Verdict.unknown, note=note, by=by)

    def mark_happened(
        self, result: JsonValue, note: str | None = None, by: str | Principal | None = None
    ) -> Self:
        """State that a call with an unknown outcome did happen, and with which result.

        It is not executed again.
        """
        self._expect("mark_happened", RequirementKind.unknown_outcome)
        return self._fill(Verdict.happened, note=note, by=by, result=result)

    def run_again(
        self,
        note: str | None = None,
        by: str | Principal | None = None,
        *,
        even_if_running: bool = False,
    ) -> Self:
        """Execute a call with an unknown outcome once more, with the approved arguments.

        One that is executed outside Kern is asked for once more, with the same idempotency key.
        A failed or reviewed step is executed once more from its beginning; in a review the note is
        its `StepInput.feedback`. While the first attempt is known to
        be executing (`attempt.is_executing`), `StillRunning` is raised when this is submitted,
        unless `even_if_running`: both would go on side by side.
        """
        kinds = (RequirementKind.error, RequirementKind.output_review)
        self._expect("run_again", RequirementKind.unknown_outcome, *kinds)
        return self._fill(Verdict.run_again, note=note, by=by, even_if_running=even_if_running)

    def skip(self, note: str | None = None, by: str | Principal | None = None) -> Self:
        """Continue the run without a failed step."""
        self._expect("skip", RequirementKind.error)
        return self._fill(Verdict.skip, note=note, by=by)

    def fail(self, note: str | None = None, by: str | Principal | None = None) -> Self:
        """End the run with an error because nobody knows what a call did.

        A failed step, or one whose output is reviewed, fails for good.
        """
        kinds = (RequirementKind.error, RequirementKind.output_review)
        self._expect("fail", RequirementKind.unknown_outcome, *kinds)
        return self._fill(Verdict.fail, note=note, by=by)

    def withdraw(self, note: str | None = None, by: str | Principal | None = None) -> Self:
        """Take back one's own approval, or another vote for something that has not begun.

        It is possible until the call has begun, also when the requirement is resolved: it is open
        again then. Whoever withdraws may decide anew.
        """
        return self._fill(Verdict.withdraw, note=note, by=by)

    def _approve(
        self, method: str, note: str | None, by: str | Principal | None, digest: str | None
    ) -> Self:
        self._expect(method, RequirementKind.confirmation, RequirementKind.output_review)
        edited = self._draft if self._draft is not None and self._draft.edit is not None else None
        if edited is not None:
            note, by, digest = note or edited.note, by or edited.by, digest or edited.digest
        edit = edited.edit if edited is not None else None
        return self._fill(Verdict.approve, note=note, by=by, edit=edit, digest=digest)

    def _needs(self, kind: RequirementKind) -> bool:
        return self.kind is kind and not self.is_resolved

    def _fill(self, verdict: Verdict, **values: object) -> Self:
        is_open = self.status is RequirementStatus.pending
        if not is_open and verdict is not Verdict.withdraw:
            raise AlreadyResolved(closed_message(self))
        self._draft = new_draft(self.id, {"verdict": verdict, **values})
        return self

    def _expect(self, method: str, *kinds: RequirementKind) -> None:
        if self.kind not in kinds:
            message = (
                f"Requirement {self.id!r} waits for {self.kind.value}, so {method}() does not fit "
                "it. "
                f"Use {METHODS[self.kind]}."
            )
            raise InvalidDecision(message)


def submitted_digest(requirement: Requirement) -> str:
    """Return the digest of the arguments as the object holds them now; `digest` froze them."""
    return arguments_digest(requirement.tool_name or "", requirement.arguments)


def bind_reader(requirement: Requirement, user_id: str | None) -> Requirement:
    """Note on a requirement that Kern hands out for whom it was read, and return it."""
    requirement._reader = user_id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return requirement


def bound_reader(requirement: Requirement) -> str | None:
    """Return for whom Kern read a requirement.

    None if its session has no owner, if an operator read it, or if the object was made of data: its
    `user_id` is what the data says, which anybody can write.
    """
    return requirement._reader  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def closed_message(requirement: Requirement) -> str:
    """Return one line that says who closed a requirement, how and when."""
    if requirement.resolution is None:
        status = requirement.status.value
        return f"Requirement {requirement.id!r} is {status} and takes no decision."
    resolution = requirement.resolution
    note = f" ({resolution.note.rstrip('.')})" if resolution.note else ""
    return (
        f"Requirement {requirement.id!r} was already {requirement.status.value}: "
        f"{resolution.by!r} decided {resolution.verdict.value!r} at "
        f"{resolution.at.isoformat(timespec='seconds')}{note}. Nothing was changed."
    )
