"""The tables. Content and intent are here; Temporal keeps progress and clocks."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime
from kern.values.states import RunStatus, ToolCallStatus

# Most events are about no requirement.
_OF_REQUIREMENT = text("requirement_id IS NOT NULL")


class SessionRow(KernRow, table=True):
    """A conversation and its owner; no `user_id` is an owner like any other.

    `tenant` separates owners of the same name: what is in the session has the same one.

    `state_updates` are the latest changes of the state from outside of runs, by their ids.
    `summary` covers runs up to number `summary_number`, those that say `is_summarised`. `parts`
    counts the runs inside other runs, which have numbers of their own, below 0.
    """

    __tablename__ = "kern_sessions"
    __table_args__ = (
        Index("kern_sessions_by_time", "updated_at", "id"),
        Index("kern_sessions_of_user", "user_id", "updated_at", "id"),
        Index("kern_sessions_of_tenant", "tenant", "updated_at", "id"),
        Index("kern_sessions_of_tenant_user", "tenant", "user_id", "updated_at", "id"),
    )

    id: str = Field(primary_key=True)
    tenant: str = ""
    user_id: str | None = None
    component_id: str
    name: str | None = None
    state: dict[str, JsonValue] = Field(sa_type=JsonText)
    state_version: int = 0
    state_updates: list[str] | None = Field(default=None, sa_type=JsonText)
    next_number: int = 1
    parts: int = 0
    summary: str | None = Field(default=None, sa_type=Text)
    summary_number: int = 0
    forked_from: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class RunRow(KernRow, table=True):
    """One interaction. Its row is the lock under which everything in it changes.

    `is_queued` says that it is pending because another run of its session comes first. The time
    from `started_at` on is split: working, and waiting for people; `counted_at` is the moment up to
    which both are counted. `forked_from` names the run of which this one is a copy.

    `requester` is the principal who asked for it, if one was authenticated.

    A run that was started by the code of another run, which may wait for it, has the ids of that
    run and of its `callers`, each of them at the root.

    A child run, such as a member's in a team's, has a `parent_run_id`, the
    `root_run_id` of the whole, and the ids of all above it, from the root on, in `ancestors`;
    `path` has the names from the root's to its own. A run at the root has none of these.

    `policy` is the digest of the policy that was pinned when the run at the root was accepted, and
    `executed_policy` that of the worker that executed it last, where that differs.

    A workflow's run has the digest of its `shape`, and counts of the steps that it opened, is known
    to take, and has done.
    """

    __tablename__ = "kern_runs"
    __table_args__ = (
        UniqueConstraint("session_id", "number"),
        Index("kern_runs_by_status", "status", "updated_at"),
        Index("kern_runs_by_time", "created_at", "id"),
        Index("kern_runs_of_tenant", "tenant", "created_at", "id"),
        Index("kern_runs_of_session", "session_id", "status", "number"),
    )

    id: str = Field(primary_key=True)
    session_id: str = Field(foreign_key="kern_sessions.id")
    parent_run_id: str | None = Field(default=None, index=True)
    root_run_id: str | None = Field(default=None, index=True)
    ancestors: list[str] = Field(default=[], sa_type=JsonText)
    path: list[str] = Field(default=[], sa_type=JsonText)
    callers: list[str] | None = Field(default=None, sa_type=JsonText)
    forked_from: str | None = None
    tenant: str = ""
    user_id: str | None = None
    requester: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    component_id: str
    component_kind: str
    number: int
    status: str = RunStatus.pending.value
    is_queued: bool = False
    is_streamed: bool = False
    is_summarised: bool = False
    retries: int = 0
    input: str = Field(sa_type=Text)
    content: str | None = Field(default=None, sa_type=Text)
    error_code: str | None = None
    error_message: str | None = Field(default=None, sa_type=Text)
    outage: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    turn: int = 0
    policy: str | None = None
    executed_policy: str | None = None
    shape: str | None = None
    steps_opened: int = 0
    steps_known: int = 0
    steps_done: int = 0
    last_event: int = 0
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    cached_tokens: int = Field(default=0, sa_type=BigInteger)
    reasoning_tokens: int = Field(default=0, sa_type=BigInteger)
    model_calls: int = Field(default=0, sa_type=BigInteger)
    tool_calls: int = Field(default=0, sa_type=BigInteger)
    first_token_seconds: float | None = None
    working_seconds: float = 0.0
    waiting_seconds: float = 0.0
    idempotency_key: str | None = None
    dependencies: dict[str, JsonValue] = Field(sa_type=JsonText)
    run_metadata: dict[str, JsonValue] = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    counted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class MessageRow(KernRow, table=True):
    """One message, appended once and never rewritten.

    Turn 0 is the input. In a turn, position 0 is the model's answer and the results of its calls
    follow in the order in
    which it asked for them, whenever they came.
    """

    __tablename__ = "kern_messages"

    run_id: str = Field(sa_column=Column(String, ForeignKey("kern_runs.id"), primary_key=True))
    turn: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    role: str
    content: str = Field(sa_type=Text)
    provider_call_id: str | None = None
    tool_name: str | None = None
    provider: str | None = None
    requested: list[JsonValue] | None = Field(default=None, sa_type=JsonText)
    items: list[JsonValue] | None = Field(default=None, sa_type=JsonText)
    usage: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    files: list[str] | None = Field(default=None, sa_type=JsonText)
    created_at: datetime = Field(sa_type=UtcDateTime)


class FileRow(KernRow, table=True):
    """A file or an image that came with a run's input, kept once in a session.

    An image that has a `url` is not here: it has no bytes.
    """

    __tablename__ = "kern_files"
    __table_args__ = (UniqueConstraint("session_id", "digest", "media_type", "name"),)

    id: str = Field(primary_key=True)
    session_id: str = Field(foreign_key="kern_sessions.id")
    tenant: str = ""
    name: str
    media_type: str
    size: int
    digest: str
    data: bytes = Field(sa_type=LargeBinary)
    url: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class ToolCallRow(KernRow, table=True):
    """One call that the model asked for, or a pipeline: `step_id` names the step for which it is.

    `digest` freezes `arguments` when the call is stored. An edit or a person's values go to
    `approved_arguments` with
    their own digest; what runs is checked against it. `gate` is the kind of requirement that came
    with the call, without which it does not run. `token` names the attempt that may write the
    result. A call with a `child_run_id` is executed by that run; where it `is_answer`, what that
    run answers is the answer of the whole.

    `idempotency_key` stands for the intention: other calls for the same one share it.

    The attempt that took the call last is described by `scheduled_at` (when Temporal scheduled it,
    which orders attempts), `worker`, `begun_at`, `beat_at` (when it was last known to execute) and
    `leased_until` (until when nothing may be executed in its place). `may_have_happened`: an
    earlier attempt at this call, which may be repeated, did not tell whether it had its effect.
    """

    __tablename__ = "kern_tool_calls"
    __table_args__ = (UniqueConstraint("run_id", "turn", "position"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="kern_runs.id", index=True)
    turn: int
    position: int
    provider_call_id: str
    name: str
    arguments: dict[str, JsonValue] = Field(sa_type=JsonText)
    digest: str
    idempotency_key: str = Field(index=True)
    approved_arguments: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    approved_digest: str | None = None
    gate: str | None = None
    child_run_id: str | None = None
    is_answer: bool = False
    step_id: str | None = Field(default=None, index=True)
    effect: str
    retries: int = 0
    timeout: float | None = None
    has_reconciler: bool = False
    status: str = ToolCallStatus.waiting.value
    outcome: str | None = None
    result: str | None = Field(default=None, sa_type=Text)
    attempt: int = 0
    may_have_happened: bool = False
    token: str | None = None
    scheduled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    worker: str | None = None
    begun_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    beat_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DecisionRow(KernRow, table=True):
    """What a person, or a deadline, said about a requirement.

    Append-only; in the chain of each root run, a row's hash covers the one before. So it outlives
    its requirement when the session is deleted. The hash covers `text_digest` instead of the note,
    the edit and the values, and that one is salted: with the `salt`, they can be erased, and the
    hash still verifies. `version` says which columns the hash covers. `actor` is the name of the
    principal that `issuer` and `subject` name; `tenant` is that of the requirement, too.
    """

    __tablename__ = "kern_decisions"
    __table_args__ = (
        UniqueConstraint("requirement_id", "position"),
        Index("kern_decisions_by_time", "at", "id"),
        Index("kern_decisions_of_tenant", "tenant", "at", "id"),
        Index("kern_decisions_of_tenant_run", "tenant", "root_run_id", "seq"),
        Index("kern_decisions_of_subject", "tenant", "subject", "at", "id"),
        Index("kern_decisions_of_tool", "tenant", "tool_name", "at", "id"),
        Index("kern_decisions_of_verdict", "tenant", "verdict", "at", "id"),
    )

    root_run_id: str = Field(primary_key=True)
    seq: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    id: str = Field(unique=True)
    requirement_id: str
    position: int
    run_id: str = Field(index=True)
    kind: str
    verdict: str
    version: int = 1
    actor: str
    issuer: str
    subject: str
    principal_kind: str
    groups: list[str] = Field(sa_type=JsonText)
    tenant: str = ""
    note: str | None = Field(default=None, sa_type=Text)
    tool_name: str | None = None
    digest: str
    edit: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    given: JsonValue = Field(default=None, sa_column=Column(JsonText, nullable=True))
    salt: str | None = None
    text_digest: str
    at: datetime = Field(sa_type=UtcDateTime)
    previous_hash: str
    hash: str


class ChainHeadRow(KernRow, table=True):
    """The end of the decisions of a root run: its row is the lock under which the chain grows."""

    __tablename__ = "kern_chain_heads"

    root_run_id: str = Field(primary_key=True)
    seq: int = 0
    hash: str


class InstallationRow(KernRow, table=True):
    """The id of this installation, with which the ids of its workflows begin: one row."""

    __tablename__ = "kern_installation"

    name: str = Field(primary_key=True)
    id: str


class EventRow(KernRow, table=True):
    """What happened in a run, numbered without gaps, written with its content.

    With a `requirement_id` it is about that requirement, and a part of its history.
    """

    __tablename__ = "kern_events"
    __table_args__ = (
        Index(
            "kern_events_of_requirement",
            "requirement_id",
            "seq",
            postgresql_where=_OF_REQUIREMENT,
            sqlite_where=_OF_REQUIREMENT,
        ),
    )

    run_id: str = Field(sa_column=Column(String, ForeignKey("kern_runs.id"), primary_key=True))
    seq: int = Field(primary_key=True)
    kind: str
    requirement_id: str | None = None
    data: dict[str, JsonValue] = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=UtcDateTime)


class OutboxRow(KernRow, table=True):
    """Something accepted that Temporal has not confirmed yet; deleted when it has."""

    __tablename__ = "kern_outbox"
    __table_args__ = (Index("kern_outbox_by_time", "next_at"),)

    id: str = Field(primary_key=True)
    kind: str
    run_id: str = Field(index=True)
    component_id: str
    component_kind: str = "agent"
    requirement_id: str | None = None
    attempts: int = 0
    next_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)


class DeletedRunRow(KernRow, table=True):
    """A run that was deleted with its session: what still executes for it ends."""

    __tablename__ = "kern_deleted_runs"

    id: str = Field(primary_key=True)
    tenant: str = ""
    deleted_at: datetime = Field(sa_type=UtcDateTime, index=True)
