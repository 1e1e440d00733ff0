"""The input and the output of a step's function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from kern.context.chat_history import PastRun
from kern.session_state import SessionState
from kern.tools.run_context import ReadOnlyFields


class StepOutput(BaseModel):
    """The output of a step, for a function that has more to return than its content.

    Attributes:
        content: JSON, or a pydantic model, which becomes JSON.
        stop: Whether the workflow ends here: the remaining steps are left out, and this content is
            the run's. In a `Parallel`, the other branches end first, and the output of the
            `Parallel` is the run's content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: JsonValue = None
    stop: bool = False

    @field_validator("content", mode="before")
    @classmethod
    def _as_json(cls, value: object) -> object:
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


class RunReader(Protocol):
    """Reads the run and the session of a step. Its methods block: they are called by steps."""

    def step_content(self, step_id: str, name: str) -> JsonValue:
        """Return the output of the latest step with a name, as the step `step_id` sees it."""
        ...

    def workflow_history(self, runs: int) -> Sequence[PastRun]:
        """Return the session's completed runs before this one, in order."""
        ...


class _NoRun:
    """The reader of a step that no run executes, as in a test of its function."""

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
    """The argument of a step's function, and of all other functions that a workflow calls.

    Attributes:
        input: The run's input, as text; if a person edited it before this step, or before a
            container of it, the edited text.
        previous_content: The output of the step before; for the first step, the run's input.
        step: The step's name.
        item: In a `Parallel` with `for_each`, the branch's item; edited as above.
        index: In a `Parallel` with `for_each`, the item's index, from 0 on.
        iteration: In a `Loop`, the number of the iteration, from 0 on.
        feedback: The note of a person who had the step done again.
        values: The values that a person filled in before this step, or before a container of it.
        session_state: Changes to it are stored with the step's result.
        tenant: The tenant that the run belongs to; the default one is empty.
        idempotency_key: The same for every execution of this step, whatever crashes: pass it to
            the system that the step changes.
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
    tenant: str = ""
    user_id: str | None = None
    step_id: str = ""
    idempotency_key: str = ""
    attempt: int = 1
    dependencies: Mapping[str, JsonValue] = field(default_factory=dict)
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    history: Sequence[PastRun] = ()
    _reader: RunReader = field(default=_NoRun(), init=False, repr=False, compare=False)

    def get_step_content(self, name: str) -> JsonValue:
        """Return the output of the latest step with this name; None if none has ended.

        Steps of branches that run beside this one are not seen.
        """
        return self._reader.step_content(self.step_id, name)

    def get_workflow_history(self, num_runs: int = 3) -> Sequence[PastRun]:
        """Return the session's latest completed runs before this one, in order."""
        return self._reader.workflow_history(num_runs)


def attach_reader(step_input: StepInput, reader: RunReader) -> None:
    """Have a step read the run that executes it; can be done once."""
    # The one place that sets it.
    step_input._reader = reader  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
