"""What the API shows of requirements, runs and sessions: stable names for programs."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, JsonValue

from kern.contracts.reports import Decision
from kern.contracts.triage import Comment, HistoryEntry, HistoryKind
from kern.requirements import (
    Bounds,
    Claim,
    Delegation,
    Principal,
    Proposal,
    Requirement,
    Resolution,
    Risk,
    UserInputField,
)
from kern.run import RunError, RunOutput, ToolExecution
from kern.session import Session
from kern.values.attempts import UnknownAttempt
from kern.values.decisions import EarlierCall
from kern.values.states import OnExpiry, RequirementKind, RequirementStatus, RunStatus, Verdict


class DelegationResource(BaseModel):
    """That somebody has handed a decision to another person or group."""

    by: dict[str, str]
    to: str
    at: datetime

    @classmethod
    def of(cls, item: Delegation) -> Self:
        """Return a delegation as the API shows it."""
        return cls(by=_person(item.by), to=item.to, at=item.at)


class RequirementResource(BaseModel):
    """Something that a run waits for from a person, or has waited for.

    Attributes:
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
    delegations: list[DelegationResource]

    @classmethod
    def of(cls, item: Requirement) -> Self:
        """Return a requirement as the API shows it."""
        values = item.model_dump(exclude={"tool_call_id"})
        renamed = {
            "run": values.pop("run_id"),
            "session": values.pop("session_id"),
            "user": values.pop("user_id"),
            "tool": values.pop("tool_name"),
            "delegations": [DelegationResource.of(entry) for entry in item.delegations],
        }
        return cls.model_validate(values | renamed)


class DecisionResource(BaseModel):
    """A decision in the log: who decided what, when, and on which arguments."""

    id: str
    seq: int
    requirement: str
    run: str
    verdict: str
    by: dict[str, str]
    note: str | None
    at: datetime
    edit: dict[str, JsonValue] | None
    hash: str

    @classmethod
    def of(cls, item: Decision) -> Self:
        """Return a decision as the API shows it."""
        return cls(
            id=item.id,
            seq=item.seq,
            requirement=item.requirement_id,
            run=item.run_id,
            verdict=item.verdict.value,
            by=_person(item.principal),
            note=item.note,
            at=item.at,
            edit=item.edit,
            hash=item.hash,
        )


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
    by: dict[str, str]
    text: str
    at: datetime

    @classmethod
    def of(cls, item: Comment) -> Self:
        """Return a comment as the API shows it."""
        return cls(
            id=item.id,
            requirement=item.requirement_id,
            by=_person(item.by),
            text=item.text,
            at=item.at,
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


class RunResource(BaseModel):
    """A run as a list shows it."""

    id: str
    session: str
    user: str | None
    tenant: str
    component: str
    status: RunStatus
    is_queued: bool
    input: str
    created_at: datetime
    finished_at: datetime | None
    error: RunError | None

    @classmethod
    def of(cls, item: RunOutput) -> Self:
        """Return a run as the API shows it."""
        return cls.model_validate(_run_values(item))


class RunDetails(RunResource):
    """A run with its answer, its calls and what it waits for."""

    content: JsonValue
    calls: list[ToolExecution]
    requirements: list[RequirementResource]
    decisions: list[DecisionResource]
    undelivered: int

    @classmethod
    def with_history(cls, item: RunOutput, decisions: list[Decision], undelivered: int) -> Self:
        """Return a run with everything that happened in it."""
        content = item.content
        values = _run_values(item) | {
            "content": content.model_dump(mode="json")
            if isinstance(content, BaseModel)
            else content,
            "calls": item.tools,
            "requirements": [RequirementResource.of(element) for element in item.requirements],
            "decisions": [DecisionResource.of(element) for element in decisions],
            "undelivered": undelivered,
        }
        return cls.model_validate(values)


class SessionResource(BaseModel):
    """A conversation."""

    id: str
    user: str | None
    tenant: str
    component: str
    name: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, item: Session) -> Self:
        """Return a session as the API shows it."""
        return cls(
            id=item.session_id,
            user=item.user_id,
            tenant=item.tenant,
            component=item.component_id,
            name=item.name,
            created_at=item.created_at,
            updated_at=item.updated_at,
        )


def _person(principal: Principal) -> dict[str, str]:
    return {
        "subject": principal.subject,
        "name": principal.name,
        "issuer": principal.issuer,
        "kind": principal.kind.value,
    }


def _run_values(item: RunOutput) -> dict[str, object]:
    return {
        "id": item.run_id,
        "session": item.session_id,
        "user": item.user_id,
        "tenant": item.tenant,
        "component": item.component_id,
        "status": item.status,
        "is_queued": item.is_queued,
        "input": item.input,
        "created_at": item.created_at,
        "finished_at": item.finished_at,
        "error": item.error,
    }
