"""What the API shows of requirements and decisions: stable names for programs.

Each resource is made of an object (`of`), and a client makes the same object of it again.
"""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, JsonValue

from kern.contracts.reports import AuditReport, Decision, SimilarDecisions
from kern.contracts.triage import Comment, HistoryEntry, HistoryKind
from kern.requirements import (
    Bounds,
    Claim,
    Delegation,
    Proposal,
    Requirement,
    Resolution,
    Risk,
    UserInputField,
)
from kern.run import Message
from kern.values.attempts import UnknownAttempt
from kern.values.decisions import EarlierCall
from kern.values.principals import Principal
from kern.values.states import (
    OnExpiry,
    PrincipalKind,
    RequirementKind,
    RequirementStatus,
    Verdict,
)

# What the API calls by other names than the objects of Python do.
_RENAMED = {
    "run": "run_id",
    "session": "session_id",
    "user": "user_id",
    "tool": "tool_name",
    "call": "tool_call_id",
}


class RequirementResource(BaseModel):
    """Something that a run waits for from a person, or has waited for.

    Attributes:
        call: The call that it is about.
        arguments: What was asked for; `current_arguments` has the latest edit that still counts,
            and is what would run.
        digest: That of `arguments`; `current_digest` is that of `current_arguments`, and what an
            approval of the version under review names.
        confirm_value: What a person has to type before they approve; `confirm` repeats it.
        shape: The same for requirements that look alike.
        delivered_at: When the run was notified of the decision that closed it.
        claim: Who takes care of it; it keeps nobody from deciding.
    """

    id: str
    kind: RequirementKind
    status: RequirementStatus
    run: str
    session: str
    user: str | None
    tenant: str
    path: list[str]
    tool: str | None
    call: str | None
    arguments: dict[str, JsonValue]
    digest: str
    current_arguments: dict[str, JsonValue]
    current_digest: str
    edited_by: str | None
    title: str | None
    risk: Risk
    consequence: str | None
    confirm_value: str | None
    bounds: dict[str, Bounds] | None
    subject: str | None
    amount: str | None
    unit: str | None
    where_to_look: str | None
    shape: str
    question: str | None
    fields: list[UserInputField]
    choices: list[str]
    multiple: bool
    attempt: UnknownAttempt | None
    candidates: list[str]
    excluded: list[str]
    approvals: int
    quorum: int
    proposals: list[Proposal]
    earlier_calls: list[EarlierCall]
    created_at: datetime
    due_at: datetime | None
    on_expiry: OnExpiry
    resolution: Resolution | None
    delivered_at: datetime | None
    not_executed: str | None
    claim: Claim | None
    delegations: list[Delegation]

    @classmethod
    def of(cls, item: Requirement) -> Self:
        """Return a requirement as the API shows it."""
        values = dict(item)
        return cls.model_validate(
            values | {name: values.pop(field) for name, field in _RENAMED.items()}
        )

    def requirement(self) -> Requirement:
        """Return the requirement that is shown."""
        values = dict(self)
        return Requirement.model_validate(
            values | {field: values.pop(name) for name, field in _RENAMED.items()}
        )


class PrincipalResource(BaseModel):
    """Who acts, as whoever authenticated them says."""

    issuer: str
    subject: str
    name: str
    kind: PrincipalKind
    groups: list[str] = []
    tenant: str = ""

    @classmethod
    def of(cls, item: Principal) -> Self:
        """Return a principal as the API shows it."""
        return cls(
            issuer=item.issuer,
            subject=item.subject,
            name=item.name,
            kind=item.kind,
            groups=list(item.groups),
            tenant=item.tenant,
        )

    def principal(self) -> Principal:
        """Return the principal that is shown; Kern's own has a name that nobody else may have."""
        return Principal.model_construct(
            issuer=self.issuer,
            subject=self.subject,
            name=self.name,
            kind=self.kind,
            groups=tuple(self.groups),
            tenant=self.tenant,
        )


class DecisionResource(BaseModel):
    """A decision in the log: who decided what, when, and on which arguments.

    Attributes:
        seq: Its number among the decisions about its run and those inside it.
        tool: The tool or step that it is about.
        values: The values, choices or result that it carries.
    """

    id: str
    seq: int
    requirement: str
    run: str
    tool: str | None
    verdict: Verdict
    by: PrincipalResource
    note: str | None
    at: datetime
    edit: dict[str, JsonValue] | None
    values: JsonValue
    hash: str

    @classmethod
    def of(cls, item: Decision) -> Self:
        """Return a decision as the API shows it."""
        return cls(
            id=item.id,
            seq=item.seq,
            requirement=item.requirement_id,
            run=item.run_id,
            tool=item.tool,
            verdict=item.verdict,
            by=PrincipalResource.of(item.principal),
            note=item.note,
            at=item.at,
            edit=item.edit,
            values=item.given,
            hash=item.hash,
        )

    def decision(self) -> Decision:
        """Return the decision that is shown."""
        return Decision(
            id=self.id,
            seq=self.seq,
            requirement_id=self.requirement,
            run_id=self.run,
            tool=self.tool,
            verdict=self.verdict,
            by=self.by.name,
            principal=self.by.principal(),
            note=self.note,
            at=self.at,
            edit=self.edit,
            given=self.values,
            hash=self.hash,
        )


class RequirementDetails(RequirementResource):
    """A requirement with what was asked for besides.

    Attributes:
        history: What happened to it, the oldest first, with `expand=history`.
        session_effects: What its session has already done with the same tool, with
            `expand=session_effects`: the same as `earlier_calls`.
        messages: The messages of its run, with `expand=messages`.
        similar: What people decided about calls like it, with `expand=similar`; null if nobody did.
    """

    history: "list[HistoryResource] | None" = None
    session_effects: list[EarlierCall] | None = None
    messages: list[Message] | None = None
    similar: SimilarDecisions | None = None


class HistoryResource(BaseModel):
    """Something that happened to a requirement: what, by whom, in which words, and when."""

    kind: HistoryKind
    by: str | None
    text: str
    at: datetime
    verdict: Verdict | None
    edit: dict[str, JsonValue] | None
    to: list[str]
    until: datetime | None

    @classmethod
    def of(cls, item: HistoryEntry) -> Self:
        """Return an entry as the API shows it."""
        return cls.model_validate(item.model_dump(exclude={"requirement_id"}) | {"to": [*item.to]})


class CommentResource(BaseModel):
    """What somebody wrote about a requirement."""

    id: str
    requirement: str
    by: PrincipalResource
    text: str
    at: datetime

    @classmethod
    def of(cls, item: Comment) -> Self:
        """Return a comment as the API shows it."""
        return cls(
            id=item.id,
            requirement=item.requirement_id,
            by=PrincipalResource.of(item.by),
            text=item.text,
            at=item.at,
        )

    def comment(self) -> Comment:
        """Return the comment that is shown."""
        return Comment(
            id=self.id,
            requirement_id=self.requirement,
            by=self.by.principal(),
            text=self.text,
            at=self.at,
        )


class SnoozeResource(BaseModel):
    """Until when a requirement is put off for the caller."""

    requirement: str
    until: datetime


class AcceptedDecision(BaseModel):
    """A decision that was accepted: it is stored, and cannot be lost.

    Attributes:
        delivered: Whether the run was notified; none while more people have to agree.
    """

    decision: DecisionResource
    requirement: RequirementResource
    delivered: bool | None


class Verification(BaseModel):
    """Whether the log of decisions verifies; if not, `broken` says what does not."""

    intact: bool
    report: AuditReport | None = None
    broken: str | None = None
