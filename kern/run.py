"""The output of a run: its ids, status, content, requirements, tool calls and metrics."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializeAsAny

from kern.requirements import Requirement
from kern.values.states import (
    Effect,
    OnBusy,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
)

__all__ = [
    "Effect",
    "FileReference",
    "Message",
    "Metrics",
    "OnBusy",
    "Progress",
    "RequestedCall",
    "RunError",
    "RunOutput",
    "RunStatus",
    "StepExecution",
    "ToolCallStatus",
    "ToolExecution",
    "ToolOutcome",
]


class Used(BaseModel):
    """Tokens, calls and time used so far.

    Token counts are the provider's own; they are zero if it reports none.

    Attributes:
        working_seconds: All time from when a worker began the run until its end, less
            `waiting_seconds`; it includes time without a worker.
        waiting_seconds: How long the run was paused, waiting for nothing but people.
    """

    model_config = ConfigDict(frozen=True)

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    working_seconds: float = 0.0
    waiting_seconds: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


class Metrics(Used):
    """Tokens, calls and time that a run has used so far.

    Attributes:
        first_token_seconds: Time from the first request to the model until the first piece of its
            answer; None until there is one.
    """

    first_token_seconds: float | None = None


class RequestedCall(BaseModel):
    """A tool call as the model asked for it: provider's id, tool, and the arguments' raw text."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: str


class FileReference(BaseModel):
    """An image or a file that came with a message; `get_file(id)` reads its bytes.

    Attributes:
        name: The file's name.
        media_type: Its media type, such as `image/png`.
        size: Its size in bytes; 0 if only its address is known.
        url: The address of an image that was given by its address.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    media_type: str
    size: int
    url: str | None = None


class Message(BaseModel):
    """One message of a run, in the order in which the model sees them.

    Attributes:
        role: `user`, `assistant` or `tool`.
        tool_calls: The calls that an assistant message asks for.
        tool_call_id: For a tool message, the provider's id of the call that it answers.
        provider: The protocol that `items` belongs to.
        items: The provider's own items, which are sent back unchanged to the same protocol.
        files: The images and files of a user's message. Models get them with their bytes
            (`kern.media.FileContent`).
    """

    model_config = ConfigDict(frozen=True)

    role: str
    content: str = ""
    tool_calls: list[RequestedCall] = Field(default_factory=list)
    tool_call_id: str | None = None
    tool_name: str | None = None
    provider: str | None = None
    items: list[dict[str, JsonValue]] = Field(default_factory=list)
    files: list[FileReference] = Field(default_factory=list)
    created_at: datetime | None = None


class ToolExecution(BaseModel):
    """A tool call of a run and its outcome.

    Attributes:
        tool_name: The tool, as in `Requirement.tool_name`.
        turn: The turn of the run in which the model asked for it.
        child_run_id: In a team, the run of the member that executes it.
        arguments: The arguments that it is executed with: the edited ones if a person edited them.
        idempotency_key: The key that the tool is given, by which its effect can be looked up.
        attempts: How often its execution has begun.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    tool_name: str
    turn: int
    child_run_id: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    status: ToolCallStatus
    outcome: ToolOutcome | None = None
    result: str | None = None
    effect: Effect = Effect.once
    idempotency_key: str = ""
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class StepExecution(BaseModel):
    """A step of a workflow's run, or a container of steps, and its outcome.

    Attributes:
        node: The id of its declaration, which stays the same from run to run.
        parent_id: The container that it is in; None for the workflow itself.
        depth: The number of containers that it is in.
        place: Its index in its container: in a loop the iteration, with `for_each` the item.
        phase: What it needs next; `done` at its end.
        outcome: `completed`, `skipped`, `failed` or `cancelled`, at its end.
        error: Why it failed; while it is active, why its latest attempt failed.
        child_run_id: The run that executes it.
        is_waiting: Whether it waits for people now, itself or in that run.
        waiting_seconds: How long it has waited for people since it started.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    node: str
    parent_id: str | None = None
    depth: int = 0
    place: int = 0
    phase: str
    outcome: str | None = None
    content: JsonValue = None
    error: str | None = None
    child_run_id: str | None = None
    is_waiting: bool = False
    waiting_seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Progress(BaseModel):
    """How far a workflow's run has come.

    Attributes:
        done: The number of steps that have ended.
        known: The number of steps known so far; conditions, routers and loops add theirs later.
        current: The names of the steps that are active or wait.
        elapsed_seconds: Time of work and waiting, until now or its end.
    """

    model_config = ConfigDict(frozen=True)

    done: int = 0
    known: int = 0
    current: list[str] = Field(default_factory=list)
    elapsed_seconds: float = 0.0


class RunError(BaseModel):
    """Why a run ended with status `error`: a stable code and a sentence."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class ProviderOutage(BaseModel):
    """A model's provider that a run waits for.

    Attributes:
        since: When it failed first. All times are UTC.
        attempts: How often it was asked since then.
        next_try_at: When it is asked again.
        code: The kind of the last failure, such as `connection` or `rate_limited`.
        message: The last failure.
    """

    model_config = ConfigDict(frozen=True)

    since: datetime
    attempts: int
    next_try_at: datetime | None = None
    code: str
    message: str


class RunOutput(BaseModel):
    """A run as it was when it was read. All times are UTC.

    Attributes:
        tenant: The tenant that it belongs to; the default one is empty.
        number: Its number in the session; children of another run have numbers below 0.
        is_queued: Whether it is pending because another run of its session comes first.
        progress: How far a workflow's run has come; None for agents and teams.
        policy_digest: The digest of the gates, approval rules, effects and limits that were pinned
            on it when it was accepted.
        provider_outage: The provider that the run waits for; None while it answers.
    """

    run_id: str
    session_id: str
    tenant: str = ""
    user_id: str | None = None
    parent_run_id: str | None = None
    component_id: str
    number: int = 0
    status: RunStatus
    is_queued: bool = False
    input: str = ""
    content: str | SerializeAsAny[BaseModel] | None = None
    content_type: str = "str"
    messages: list[Message] = Field(default_factory=list)
    tools: list[ToolExecution] = Field(default_factory=list)
    requirements: list[Requirement] = Field(default_factory=list)
    metrics: Metrics = Field(default_factory=Metrics)
    session_state: dict[str, JsonValue] = Field(default_factory=dict)
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    created_at: datetime
    finished_at: datetime | None = None
    error: RunError | None = None
    progress: Progress | None = None
    policy_digest: str | None = None
    provider_outage: ProviderOutage | None = None

    @property
    def is_paused(self) -> bool:
        """Whether the run waits until a person decides."""
        return self.status is RunStatus.paused

    @property
    def active_requirements(self) -> list[Requirement]:
        """The requirements that still wait for a person."""
        return [
            requirement
            for requirement in self.requirements
            if requirement.status is RequirementStatus.pending
        ]
