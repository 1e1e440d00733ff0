"""What a stream of a run yields: its text as it comes, and what happens in it.

Durable events have a number, `seq`, without gaps in a run, and are in the table of events with what
they tell: a reader that comes back with the last number it saw misses none. What has no number
is told to those who are there.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.requirements import Requirement
from kern.run import RunError, RunOutput, ToolExecution


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: str
    session_id: str


class _Durable(_Event):
    seq: int
    created_at: datetime


class _Stop(_Durable):
    """A place where a run stands still; `output` is the run as it stood when it was read."""

    output: RunOutput


class RunContent(_Event):
    """A piece of the model's text.

    The pieces of a turn, since its last `RunContentReset` if there was one, are the text that is
    stored: when pieces were lost on the way, the last one makes up for them.

    Attributes:
        turn: The answer of the model to which the piece belongs. One that the run's own model did
            not write (a routed member's, or what the steps of a workflow came to) follows the last.
        attempt: Which attempt at that answer; None for text that was read from the table.
        content: The text.
    """

    kind: Literal["content"] = "content"
    turn: int
    attempt: int | None = None
    content: str


class RunContentReset(_Event):
    """What was shown of this turn's text counts no more, since the answer begins anew: discard it.

    An attempt was repeated (its worker died, its provider failed), or the reader has come back in
    the middle of a turn.
    """

    kind: Literal["content_reset"] = "content_reset"
    turn: int
    attempt: int | None = None


class TurnStarted(_Event):
    """The model is being asked. A turn of which an attempt is repeated starts again."""

    kind: Literal["turn_started"] = "turn_started"
    turn: int
    attempt: int | None = None


class RunStarted(_Durable):
    """The run was accepted: from here on it goes on by itself, whatever becomes of its readers."""

    kind: Literal["run_started"] = "run_started"


class TurnCompleted(_Durable):
    """The model's answer is stored, and `calls` is how many tool calls it asks for."""

    kind: Literal["turn_completed"] = "turn_completed"
    turn: int
    calls: int = 0


class ToolCallStarted(_Durable):
    """A tool is being executed. `tool` is the call as it stood when it was read."""

    kind: Literal["tool_call_started"] = "tool_call_started"
    tool: ToolExecution


class ToolCallCompleted(_Durable):
    """A tool call has its result, which is in `tool`."""

    kind: Literal["tool_call_completed"] = "tool_call_completed"
    tool: ToolExecution


class StepStarted(_Durable):
    """A step of a workflow begins, or begins once more.

    Attributes:
        node: Its place in the workflow.
        child_run_id: The run that executes it, if it is an agent's, a team's or a workflow's.
    """

    kind: Literal["step_started"] = "step_started"
    step_id: str
    step: str
    node: str
    child_run_id: str | None = None


class _StepEnd(_Durable):
    """A step has ended. Of the `known` steps of its run, `done` are done."""

    step_id: str
    step: str
    node: str
    done: int = 0
    known: int = 0
    code: str | None = None
    message: str | None = None


class StepCompleted(_StepEnd):
    """A step has its result."""

    kind: Literal["step_completed"] = "step_completed"


class StepSkipped(_StepEnd):
    """A step was left out, by a person or because it failed and may."""

    kind: Literal["step_skipped"] = "step_skipped"


class StepFailed(_StepEnd):
    """A step failed for good; `message` says why."""

    kind: Literal["step_failed"] = "step_failed"


class RunPaused(_Stop):
    """Nothing goes on until a person decides."""

    kind: Literal["run_paused"] = "run_paused"

    @property
    def requirements(self) -> list[Requirement]:
        """What the run waits for."""
        return self.output.active_requirements


class RunContinued(_Durable):
    """The run was paused, and something in it goes on."""

    kind: Literal["run_continued"] = "run_continued"


class RunCompleted(_Stop):
    """The run has its answer, in `output`."""

    kind: Literal["run_completed"] = "run_completed"


class RunFailed(_Stop):
    """The run ended with an error."""

    kind: Literal["run_failed"] = "run_failed"

    @property
    def error(self) -> RunError:
        """A stable code and a sentence."""
        return self.output.error or RunError(code="error", message="")


class RunCancelled(_Stop):
    """The run was cancelled."""

    kind: Literal["run_cancelled"] = "run_cancelled"


class RunNoted(_Durable):
    """Something else that the table of events holds, such as `requirement_opened`.

    Attributes:
        name: What happened.
        data: Small facts about it; the names may grow in later versions.
    """

    kind: Literal["noted"] = "noted"
    name: str
    data: dict[str, JsonValue] = Field(default_factory=dict)


# The events with which a stream ends; each has the run as `output`.
RunStop = RunPaused | RunCompleted | RunFailed | RunCancelled

RunEvent = Annotated[
    RunContent
    | RunContentReset
    | TurnStarted
    | RunStarted
    | TurnCompleted
    | ToolCallStarted
    | ToolCallCompleted
    | StepStarted
    | StepCompleted
    | StepSkipped
    | StepFailed
    | RunPaused
    | RunContinued
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunNoted,
    Field(discriminator="kind"),
]
