"""The events of a stream: the model's text while it is written, and what happens in the run.

Durable events have a number, `seq`, without gaps in a run, and are stored: a reader that returns
with the last number it saw misses none. Events without a number reach only the present readers.
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
    """A stop: the run waits for a person or has ended. `output` is the run when it was read."""

    output: RunOutput


class RunContent(_Event):
    """A piece of the model's text.

    The pieces of a turn since its last `RunContentReset`, together, are the text that is stored: if
    pieces are lost on the way, the last one contains them.

    Attributes:
        turn: The answer of the model that the piece belongs to. An answer that the run's own model
            did not write (a routed member's, or a workflow's output) has the number after the last.
        attempt: The attempt at that answer; None for text that was read from the table.
        content: The text.
    """

    kind: Literal["content"] = "content"
    turn: int
    attempt: int | None = None
    content: str


class RunContentReset(_Event):
    """The answer begins anew: discard the text of this turn that was shown.

    An attempt is repeated (its worker died, its provider failed), or the reader has returned in the
    middle of a turn.
    """

    kind: Literal["content_reset"] = "content_reset"
    turn: int
    attempt: int | None = None


class TurnStarted(_Event):
    """The model is being called. A turn starts again when an attempt is repeated."""

    kind: Literal["turn_started"] = "turn_started"
    turn: int
    attempt: int | None = None


class RunStarted(_Durable):
    """The run was accepted: from now on it continues without its readers."""

    kind: Literal["run_started"] = "run_started"


class TurnCompleted(_Durable):
    """The model's answer is stored; `calls` is the number of tool calls that it asks for."""

    kind: Literal["turn_completed"] = "turn_completed"
    turn: int
    calls: int = 0


class ToolCallStarted(_Durable):
    """A tool is being executed. `tool` is the call when it was read."""

    kind: Literal["tool_call_started"] = "tool_call_started"
    tool: ToolExecution


class ToolCallCompleted(_Durable):
    """A tool call has its result, in `tool`."""

    kind: Literal["tool_call_completed"] = "tool_call_completed"
    tool: ToolExecution


class StepStarted(_Durable):
    """A step of a workflow begins, or begins once more.

    Attributes:
        node: The id of its declaration in the workflow.
        child_run_id: The run that executes it, if it is an agent's, a team's or a workflow's.
    """

    kind: Literal["step_started"] = "step_started"
    step_id: str
    step: str
    node: str
    child_run_id: str | None = None


class _StepEnd(_Durable):
    """A step has ended. Of the run's `known` steps so far, `done` have ended."""

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
    """A step was skipped, by a person or because it failed and has `on_error="skip"`."""

    kind: Literal["step_skipped"] = "step_skipped"


class StepFailed(_StepEnd):
    """A step failed for good; `message` says why."""

    kind: Literal["step_failed"] = "step_failed"


class RunPaused(_Stop):
    """The run waits until a person decides."""

    kind: Literal["run_paused"] = "run_paused"

    @property
    def requirements(self) -> list[Requirement]:
        """The requirements that the run waits for."""
        return self.output.active_requirements


class RunContinued(_Durable):
    """The run was paused, and continues."""

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
    """The run was cancelled.

    Attributes:
        by: The name of whoever cancelled it; None where nobody was named.
        note: Why, for people.
    """

    kind: Literal["run_cancelled"] = "run_cancelled"
    by: str | None = None
    note: str | None = None


class RunNoted(_Durable):
    """Another stored event, such as `requirement_opened`.

    Attributes:
        name: The kind of event; later versions may add kinds.
        data: Small facts about it.
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
