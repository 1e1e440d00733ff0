"""What crosses Temporal: one frozen model for each message, ids and small facts only.

Every new field needs a default, because histories written by older versions are replayed with these
models.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

# The type of the workflow that runs a component of each kind.
WORKFLOWS = {"agent": "AgentRun", "team": "TeamRun", "workflow": "PipelineRun"}


class Contract(BaseModel):
    """A message to or from a workflow or an activity."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RunCursor(Contract):
    """Where a run's workflow begins: turn 1, or further on when it continues as new.

    Attributes:
        run_id: The run; the workflow's id is this behind `prefix`.
        turn: The first turn to take.
        heartbeat: An attempt without a heartbeat for so many seconds is considered dead.
        turns_per_history: After how many turns the workflow continues as new.
        parent_run_id: The parent, whose workflow gets reports of this run.
        heard: Requirements of whose resolutions an earlier history heard.
        watched: Whether the parent asked an earlier history to report the end of this run.
        retries: How often the run had been opened again when this workflow began.
        prefix: What the ids of all workflows of the installation begin with.
        bookkeeping_queue: Where activities go that need no component's code, such as deadlines;
            None in histories of before it: the component's own queue.
    """

    run_id: str
    turn: int = 1
    heartbeat: float = 10.0
    turns_per_history: int = 500
    parent_run_id: str | None = None
    heard: tuple[str, ...] = ()
    watched: bool = False
    retries: int = 0
    prefix: str = ""
    bookkeeping_queue: str | None = None


class TurnInput(Contract):
    """Ask for one answer of the model."""

    run_id: str
    turn: int


class Gate(Contract):
    """A requirement that somebody has to resolve, and when to look at it if nobody did (UTC)."""

    requirement_id: str
    due_at: datetime | None = None


class Child(Contract):
    """A child run that is stored, and whose workflow is to be started."""

    run_id: str
    component_kind: str = "agent"
    retries: int = 0


class PlannedCall(Contract):
    """A tool call that a turn asked for and that is not done yet.

    Attributes:
        child: The run that executes the call; None where a tool does.
        timeout: Seconds that one execution may take; None for no limit of its own.
    """

    tool_call_id: str
    name: str = ""
    gate: Gate | None = None
    timeout: float | None = None
    child: Child | None = None


class TurnOutcome(Contract):
    """What a turn led to: the run has ended, or these calls are to be executed.

    Attributes:
        summarise: The run has ended, and its session's summary is to include it.
    """

    ended: bool = False
    calls: tuple[PlannedCall, ...] = ()
    summarise: bool = False


class PipelineInput(Contract):
    """Ask for a pipeline's steps to be executed, as far as they go by themselves.

    Attributes:
        lane: Where to continue; None for the beginning, or after a history was left:
            everything that is open is then named anew.
    """

    run_id: str
    lane: str | None = None


class Work(Contract):
    """A concurrent branch of a pipeline.

    Attributes:
        lane: What to ask the activity for, once what it waits for has come.
        gate: What a person has to resolve first.
        child: The run that has to end first.
        delay: Seconds to wait before that run begins.
    """

    lane: str
    name: str = ""
    gate: Gate | None = None
    child: Child | None = None
    delay: float = 0.0


class PipelineOutcome(Contract):
    """What a pipeline's steps led to: the run has ended, or these branches continue."""

    ended: bool = False
    work: tuple[Work, ...] = ()


class ToolCallInput(Contract):
    """Ask for one tool call to be brought to its end."""

    run_id: str
    tool_call_id: str


class ToolCallOutcome(Contract):
    """The call is done, or a person must say what became of it, or it failed the whole run."""

    gate: Gate | None = None
    run_ended: bool = False


class ExpiryInput(Contract):
    """Ask SQL to expire a requirement whose deadline has passed."""

    requirement_id: str


class ExpiryOutcome(Contract):
    """What the row says: still open (the deadline moved), or closed by whoever was first."""

    gate: Gate | None = None
    run_ended: bool = False


class CloseInput(Contract):
    """Ask for a run to be ended from outside its turns.

    It was cancelled, or an activity gave up. `retries` is how often the run had been
    retried as far as its workflow knows: a run that was retried since then continues in a newer
    workflow.
    """

    run_id: str
    cancelled: bool = False
    code: str = "error"
    message: str = ""
    retries: int = 0


class SummaryInput(Contract):
    """Ask for a session's summary to include a run that has ended."""

    run_id: str


class NameInput(Contract):
    """Ask for a session to be named after what is said in it.

    Attributes:
        session_id: The session.
        began: When it was begun; detects a session that was deleted and begun anew.
        before: The digest of the name that it has: one that somebody gives it meanwhile stands.
    """

    session_id: str
    began: datetime | None = None
    before: str | None = None


class Resolved(Contract):
    """The signal that a requirement's row is resolved."""

    requirement_id: str


class PauseInput(Contract):
    """Ask for a run to be paused whose workflow has no active work."""

    run_id: str


class PauseOutcome(Contract):
    """Whether the run is idle according to its rows, and what has begun instead."""

    stands_still: bool = False
    work: tuple[Work, ...] = ()


class Told(Contract):
    """The signal by which a child run reports to its parent.

    Attributes:
        run_id: The child run.
        stands_still: Whether it is idle: it waits for nothing but people.
        heard: The requirements of whose resolutions it has heard since its last report.
        ended: Whether it has ended; reported only to a parent that asked for it.
    """

    run_id: str
    stands_still: bool = False
    heard: tuple[str, ...] = ()
    ended: bool = False


class StopQuery(Contract):
    """Ask for the next stop of a run, once it has heard of these requirements' resolutions.

    Attributes:
        resolved: The requirements.
        through: For a requirement of a descendant: the child run that leads to it. Once that has
            ended, nobody hears of it any more.
    """

    resolved: tuple[str, ...] = ()
    through: dict[str, str] = {}


class Stop(Contract):
    """A run is idle.

    It is paused or has ended. `moved` means that it continued as new: ask again.
    """

    moved: bool = False


class OpenWork(Contract):
    """What a workflow waits for, as far as it knows.

    Attributes:
        requirements: The requirements that it waits for.
        children: The child runs that it waits for.
        lanes: The lanes of a pipeline that it serves.
    """

    requirements: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    lanes: tuple[str, ...] = ()


class Nothing(Contract):
    """The empty answer."""
