"""The tables of requirements: what runs wait for from people."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import UTC, datetime

from pydantic import JsonValue
from sqlalchemy import Index, Text, text
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime
from kern.values.states import RISK_RANKS, RequirementStatus, Risk

# Stands for no deadline, in an index: it comes after all others.
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
# Few requirements are claimed, and what is pending is not closed.
_CLAIMED, _CLOSED = text("claimed_key IS NOT NULL"), text("resolved_at IS NOT NULL")


class RequirementRow(KernRow, table=True):
    """Something that a run waits for from a person.

    `root_run_id` names the run at the root of the tree, its own without one above it. `path` says
    where it came up: the names from the root's on, and the tool's.
    `remind_at` and `escalate_at` are the next moments at which somebody is reminded or asked
    besides, and empty when there is none any more. `reopened` counts how often it was resolved and
    opened again, because somebody withdrew. `attempt` has what is known of the attempt whose
    outcome is unknown: an `UnknownAttempt`. `not_executed` says why a call was not executed that
    somebody has let run.

    `presentation` is what the author of the call declared for it, with the templates of what is
    shown; `title`, `confirm_value`, `subject`, `amount` and `unit` are what it comes to with the
    arguments, as they were edited last by a decision that still counts; `amount_band` says how many
    digits the amount has, so that decisions about as much are found. Those arguments are
    `current_arguments` with their `current_digest`, which `edited_by` proposed first; all three are
    empty while nothing is edited. `shape` is the same for requirements that look alike.
    `delivered_at` says when Temporal heard of the decision; what it says of a pending requirement
    is about an earlier one.

    `claimed_by` is who takes care of it until `claimed_until`, and `claimed_key` what their name is
    compared with; all three are empty once it is closed. `delegations` says who has handed it to
    whom: each a `Delegation`.
    """

    __tablename__ = "kern_requirements"
    __table_args__ = (
        Index("kern_requirements_by_status", "status", "created_at"),
        Index("kern_requirements_of_tenant", "tenant", "status", "created_at", "id"),
        Index("kern_requirements_by_due", "tenant", "status", "due_at", "id"),
        Index("kern_requirements_by_risk", "tenant", "status", "risk_rank", "id"),
        Index("kern_requirements_of_shape", "tenant", "status", "shape", "created_at", "id"),
        Index(
            "kern_requirements_not_executed",
            "resolved_at",
            sqlite_where=text("not_executed IS NOT NULL"),
            postgresql_where=text("not_executed IS NOT NULL"),
        ),
        Index("kern_requirements_of_kind", "tenant", "status", "kind", "id"),
        Index(
            "kern_requirements_of_claim",
            "claimed_key",
            "claimed_until",
            postgresql_where=_CLAIMED,
            sqlite_where=_CLAIMED,
        ),
        Index(
            "kern_requirements_by_closing",
            "tenant",
            "resolved_at",
            "id",
            postgresql_where=_CLOSED,
            sqlite_where=_CLOSED,
        ),
        Index(
            "kern_requirements_alike",
            "tenant",
            "tool_name",
            "amount_band",
            "resolved_at",
            postgresql_where=_CLOSED,
            sqlite_where=_CLOSED,
        ),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="kern_runs.id", index=True)
    root_run_id: str | None = Field(default=None, index=True)
    path: list[str] = Field(default=[], sa_type=JsonText)
    session_id: str
    tenant: str = ""
    user_id: str | None = None
    tool_call_id: str | None = Field(default=None, foreign_key="kern_tool_calls.id", index=True)
    kind: str
    status: str = RequirementStatus.pending.value
    tool_name: str | None = None
    arguments: dict[str, JsonValue] = Field(sa_type=JsonText)
    digest: str
    current_arguments: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    current_digest: str | None = None
    edited_by: str | None = None
    arguments_schema: dict[str, JsonValue] = Field(sa_type=JsonText)
    question: str | None = Field(default=None, sa_type=Text)
    presentation: dict[str, JsonValue] = Field(default={}, sa_type=JsonText)
    title: str | None = Field(default=None, sa_type=Text)
    risk: str = Risk.normal.value
    risk_rank: int = RISK_RANKS[Risk.normal]
    confirm_value: str | None = Field(default=None, sa_type=Text)
    subject: str | None = Field(default=None, sa_type=Text)
    amount: str | None = None
    amount_band: int | None = None
    unit: str | None = Field(default=None, sa_type=Text)
    shape: str = ""
    attempt: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    fields: list[JsonValue] = Field(sa_type=JsonText)
    choices: list[str] = Field(sa_type=JsonText)
    multiple: bool = False
    candidates: list[str] = Field(sa_type=JsonText)
    excluded: list[str] = Field(sa_type=JsonText)
    quorum: int = 1
    on_expiry: str = "reject"
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    remind_seconds: float | None = None
    reminders: int = 0
    remind_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    escalate_to: list[str] | None = Field(default=None, sa_type=JsonText)
    escalate_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    verdict: str | None = None
    resolved_by: str | None = None
    resolved_note: str | None = Field(default=None, sa_type=Text)
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    claimed_by: str | None = None
    claimed_key: str | None = None
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    delegations: list[JsonValue] | None = Field(default=None, sa_type=JsonText)
    reopened: int = 0
    not_executed: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class RequirementPersonRow(KernRow, table=True):
    """Whom a requirement concerns: one row for each entry of its rules.

    `kind` is `person`, `group`, `requester` (whoever asked for the run, by a name of theirs) or
    `anybody`; `name` is the entry as it was declared, and `key` what a principal's names or groups
    are compared with. `role` is `candidate`, `excluded`, `escalated` or `delegated`, from `from_at`
    on; who has handed it to somebody else is `handed_over`.

    `tenant`, `status`, `due_at` (the end of all times without a deadline) and `risk_rank` are those
    of the requirement, so that what waits for a person is found by an index in each order.
    """

    __tablename__ = "kern_requirement_people"
    __table_args__ = (
        Index("kern_people_by_id", "tenant", "status", "kind", "key", "requirement_id"),
        Index("kern_people_by_due", "tenant", "status", "kind", "key", "due_at", "requirement_id"),
        Index(
            "kern_people_by_risk", "tenant", "status", "kind", "key", "risk_rank", "requirement_id"
        ),
    )

    id: str = Field(primary_key=True)
    requirement_id: str = Field(index=True)
    run_id: str = Field(index=True)
    tenant: str = ""
    kind: str
    name: str
    key: str
    role: str
    from_at: datetime = Field(sa_type=UtcDateTime)
    status: str = RequirementStatus.pending.value
    due_at: datetime = Field(sa_type=UtcDateTime)
    risk_rank: int
