"""What an activity gets of a lane: what to do next; and what it brings: how that ended."""

from dataclasses import dataclass, field

from pydantic import JsonValue

from kern.contracts.messages import PipelineOutcome
from kern.db.turns.attempts import Execution, LeftOpen
from kern.pipeline.frames import Phase
from kern.session_state import StateChange
from kern.values.states import ToolOutcome


@dataclass(frozen=True)
class Facts:
    """What the code of a step may read of its run."""

    component_id: str
    run_id: str
    session_id: str
    tenant: str
    user_id: str | None
    input: str
    state: dict[str, JsonValue] = field(default_factory=dict)
    dependencies: dict[str, JsonValue] = field(default_factory=dict)
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    history_runs: int = 0


@dataclass(frozen=True)
class StepCall:
    """The call that executes a step."""

    run_id: str
    step_id: str
    tool_call_id: str


@dataclass(frozen=True)
class Execute:
    """The function of a step has to be executed; this attempt holds its call."""

    step_id: str
    node: str
    execution: Execution
    facts: Facts

    @property
    def call(self) -> StepCall:
        """The call that this attempt holds."""
        return StepCall(self.facts.run_id, self.step_id, self.execution.tool_call_id)


@dataclass(frozen=True)
class Evaluate:
    """The user's code has to decide what a container does; `version` is that of the question.

    `predicate` is the digest of the code that was pinned for a review.
    """

    step_id: str
    node: str
    name: str
    phase: Phase
    version: int
    arguments: dict[str, JsonValue]
    content: JsonValue
    facts: Facts
    predicate: str | None = None


@dataclass(frozen=True)
class InProgress:
    """Another attempt, with this token, is executing the step: wait for it and look again.

    Without a token, a newer attempt has taken the step: this one has nothing left to do.
    """

    token: str | None


@dataclass(frozen=True)
class NoPlace:
    """The function of a step has to be executed, and the attempt has no place to do it."""


@dataclass(frozen=True)
class Reconcile:
    """An attempt left the execution of a step open: its reconciler has to be asked."""

    step_id: str
    node: str
    open_call: LeftOpen

    @property
    def call(self) -> StepCall:
        """The call that was left open."""
        execution = self.open_call.execution
        return StepCall(execution.run_id, self.step_id, execution.tool_call_id)


Task = Execute | Evaluate | InProgress | NoPlace | Reconcile | PipelineOutcome


@dataclass(frozen=True)
class Finished:
    """How an execution of a step's function ended."""

    outcome: ToolOutcome
    content: JsonValue = None
    stop: bool = False
    error: str = ""
    code: str = "step_failed"
    changes: list[StateChange] = field(default_factory=list)
