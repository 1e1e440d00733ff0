"""What a step's function takes and returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from kern.context.chat_history import PastRun
from kern.session_state import SessionState
from kern.tools.run_context import ReadOnlyFields


class StepOutput(BaseModel):
    """What a step came to, where more is to be said than its content.

    Attributes:
        content: JSON, or a pydantic model, which becomes JSON.
        stop: Whether the workflow ends here: what would follow is left out, and this content is
            the run's. In a `Parallel`, the other branches come to their ends first, and what the
            `Parallel` came to is the content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: JsonValue = None
    stop: bool = False

    @field_validator("content", mode="before")
    @classmethod
    def _as_json(cls, given: object) -> object:
        return given.model_dump(mode="json") if isinstance(given, BaseModel) else given


class RunReader(Protocol):
    """What a step may read of its own run and session. Its methods block: they are for steps."""

    def step_content(self, step_id: str, name: str) -> JsonValue:
        """Return what the latest step of a name came to, as one step sees it."""
        ...

    def workflow_history(self, runs: int) -> Sequence[PastRun]:
        """Return the session's completed runs before this one, in order."""
        ...


class _Nothing:
    """What a step reads that no run executes."""

    def step_content(self, step_id: str, name: str) -> JsonValue:
        """Return nothing."""
        del step_id, name
        return None

    def workflow_history(self, runs: int) -> Sequence[PastRun]:
        """Return nothing."""
        del runs
        return ()


@dataclass
class StepInput(ReadOnlyFields):
    """What a step's function is given, and whatever else of the user's code a workflow calls.

    Attributes:
        input: The run's input, as text; where a person edited it before this step, or before one
            that holds it, what they put in its place.
        previous_content: What the step before came to; for the first one, the run's input.
        step: The step's name.
        item: In a `Parallel` with `for_each`, the branch's item; edited as above.
        index: In a `Parallel` with `for_each`, which item it is, from 0 on.
        iteration: In a `Loop`, which iteration it is, from 0 on.
        feedback: What a person said who had it done again.
        values: What a person filled in before this step, or before one that holds it.
        session_state: Changes to it are stored with the step's result.
        idempotency_key: The same for every execution of this step, whatever crashes: hand it to
            the receiver.
        attempt: 1 for the first execution.
        history: The session's earlier runs, with `add_workflow_history_to_steps`.
    """

    input: str = ""
    previous_content: JsonValue = None
    step: str = ""
    item: JsonValue = None
    index: int | None = None
    iteration: int | None = None
    feedback: str | None = None
    values: Mapping[str, JsonValue] = field(default_factory=dict)
    session_state: SessionState = field(default_factory=lambda: SessionState({}))
    run_id: str = ""
    session_id: str = ""
    user_id: str | None = None
    step_id: str = ""
    idempotency_key: str = ""
    attempt: int = 1
    dependencies: Mapping[str, JsonValue] = field(default_factory=dict)
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    history: Sequence[PastRun] = ()
    reader: RunReader = field(default_factory=_Nothing, repr=False, compare=False)

    def get_step_content(self, name: str) -> JsonValue:
        """Return what the latest step of this name came to; None if none has ended.

        Branches that go on beside this one are not seen.
        """
        return self.reader.step_content(self.step_id, name)

    def get_workflow_history(self, num_runs: int = 3) -> Sequence[PastRun]:
        """Return the session's latest completed runs before this one, in order."""
        return self.reader.workflow_history(num_runs)
