"""What a run returns.

Its ids, where it stands, what it said, what it waits for and what it used.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializeAsAny

from kern.requirements import Requirement
from kern.values.states import Effect, RequirementStatus, RunStatus, ToolCallStatus, ToolOutcome


class Used(BaseModel):
    """What was used so far.

    Token counts are the provider's own; a provider that reports none leaves zeros.

    Attributes:
        working_seconds: How long it did not wait for people: all time from when a worker began it
            until its end but for `waiting_seconds`, also when no worker was there to go on.
        waiting_seconds: How long it was paused: nothing went on but waiting for people.
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
    """What a run used so far.

    Attributes:
        first_token_seconds: From the first question to the model to the first of its answer; None
            before there is one.
    """

    first_token_seconds: float | None = None


class RequestedCall(BaseModel):
    """A tool call as the model asked for it.

    The provider's call id, the name and the arguments' raw text.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: str


class FileReference(BaseModel):
    """An image or a file that came with a message; `get_file(id)` reads its bytes.

    Attributes:
        name: What it is called.
        media_type: What it is, such as `image/png`.
        size: How many bytes it has; 0 where only its address is known.
        url: Where an image is on the web, if it was given so.
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
        tool_calls: What an assistant message asked for.
        tool_call_id: For a tool message, the provider's id of the call that it answers.
        provider: Which protocol `items` belongs to.
        items: The provider's own items, to be sent back unchanged to the same protocol.
        files: The images and files that came with a user's message. A model is given them with
            their bytes (`kern.media.FileContent`).
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
    """A tool call of a run and what became of it.

    `arguments` are those that run: edited if a person edited them. `child_run_id` is the run of the
    member that executes it, in a team.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    turn: int
    child_run_id: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    status: ToolCallStatus
    outcome: ToolOutcome | None = None
    result: str | None = None
    effect: Effect = Effect.once
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class StepExecution(BaseModel):
    """A step of a workflow's run, or a container that holds steps, and what became of it.

    Attributes:
        node: Its place in the workflow, which stays the same from run to run.
        parent_id: The container that holds it; None for the whole.
        depth: How many containers hold it.
        place: Which one it is in what holds it: in a loop the iteration, with `for_each` the item.
        phase: What it needs next; `done` at its end.
        outcome: `completed`, `skipped`, `failed` or `cancelled`, at its end.
        error: Why it failed; of one that goes on, why the latest attempt at it came to nothing.
        child_run_id: The run that executes it.
        waits: Whether it waits for people now, itself or in that run.
        waiting_seconds: How much of the time since it started people were asked about it.
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
    waits: bool = False
    waiting_seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Progress(BaseModel):
    """How far a workflow's run has come.

    Attributes:
        done: Steps that have ended.
        known: Steps that it is known to take; what conditions, routers and loops add comes later.
        current: The names of steps that go on, or wait.
        elapsed_seconds: Work and waiting, until now or its end.
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


class RunOutput(BaseModel):
    """A run as it stood when it was read. All times are UTC.

    `is_queued`: it is pending because another run of its session comes first. `progress` is that of
    a workflow's run.
    """

    run_id: str
    session_id: str
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

    @property
    def is_paused(self) -> bool:
        """Whether the run stands still until a person decides."""
        return self.status is RunStatus.paused

    @property
    def active_requirements(self) -> list[Requirement]:
        """The requirements that still wait for a person."""
        return [r for r in self.requirements if r.status is RequirementStatus.pending]
