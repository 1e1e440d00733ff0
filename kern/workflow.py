"""Workflows: steps in a fixed order, each an agent, a team, a function or another workflow."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import JsonValue

from kern.components.agents.option_checks import a_state, not_empty, not_negative
from kern.components.component import Component, slug
from kern.components.runnable import Runnable
from kern.components.steps.blocks import Step, StepLike, Steps
from kern.components.steps.compile import lay_out
from kern.components.steps.containers import Condition, Loop, Parallel, Router
from kern.components.steps.review import HumanReview
from kern.components.steps.values import StepInput, StepOutput
from kern.components.steps.workflow_agent import WorkflowAgent
from kern.contracts.database import Database
from kern.errors import InvalidDefinition
from kern.run import RunOutput, StepExecution
from kern.values.canonical import digest
from kern.values.validation import truths

__all__ = [
    "Condition",
    "HumanReview",
    "Loop",
    "Parallel",
    "Router",
    "Step",
    "StepInput",
    "StepLike",
    "StepOutput",
    "Steps",
    "Workflow",
    "WorkflowAgent",
]

_DEFAULT_RUNS = 3


class Workflow(Runnable):
    """Steps in a fixed order, whose runs are durable and wait for people.

    What a run is to do is pinned when it begins: a later version of the code changes no run that
    has begun, and is only looked up to be executed, by the steps' ids. A step that has ended is
    never done again, whatever crashes. Every method has an async twin whose name begins with `a`.

    Args:
        id: Under which runs find this workflow's code again, in this and in later processes.
            Default: made from `name`, or from the declaration itself if there is no name.
        name: What people call it.
        steps: What it does, one after another: functions, agents, teams, workflows, or `Step`,
            `Steps`, `Parallel`, `Condition`, `Loop` and `Router`.
        session_state: The state with which a new session begins; all steps share it.
        db: Where runs are kept; default: the runtime's database.
        add_workflow_history_to_steps: Whether steps are given the session's earlier runs: functions
            in `StepInput.history`, agents and teams before what they are asked.
        num_history_runs: How many completed runs, at most.

    Raises:
        InvalidDefinition: a step is declared in a way that cannot work.
    """

    kind: ClassVar[str] = "workflow"

    def __init__(
        self,
        *,
        steps: Sequence[StepLike],
        id: str | None = None,
        name: str | None = None,
        session_state: Mapping[str, JsonValue] | None = None,
        db: Database | None = None,
        add_workflow_history_to_steps: bool = False,
        num_history_runs: int = _DEFAULT_RUNS,
    ) -> None:
        not_empty(id=id, name=name)
        truths(add_workflow_history_to_steps=add_workflow_history_to_steps)
        not_negative("num_history_runs", num_history_runs)
        history = num_history_runs if add_workflow_history_to_steps else 0
        self.layout = lay_out(Steps(steps, name=name or id or "workflow"), history)
        self.session_state = a_state(session_state)
        given = id or (slug(name) if name else f"workflow-{self.fingerprint[:12]}")
        super().__init__(given, name or given, db)
        if any(part.id == self.id for part in self.layout.parts):
            message = f"The workflow {self.id!r} has a step of the same id: give each its own."
            raise InvalidDefinition(message)

    def retry_run(self, run_id: str, *, user_id: str | None = None) -> RunOutput:
        """Have a run that failed go on where it failed, and wait for its next stop.

        Steps that have ended are not done again. Those that failed begin once more, and those that
        were stopped because of it go on.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
            Conflict: the run has not failed, or is a part of another run.
        """
        viewer = self._viewer(user_id)
        return self._typed(self._do(lambda service: service.interaction.retry(viewer, run_id)))

    async def aretry_run(self, run_id: str, *, user_id: str | None = None) -> RunOutput:
        """As `retry_run`, for async callers."""
        viewer = self._viewer(user_id)
        output = await self._ado(lambda service: service.interaction.retry(viewer, run_id))
        return self._typed(output)

    def get_steps(
        self, run_id: str, *, user_id: str | None = None, limit: int = 1000, after: int = 0
    ) -> list[StepExecution]:
        """Read the steps that a run has opened, in that order; the first is the whole.

        Args:
            run_id: The run.
            user_id: The session's owner.
            limit: How many at most.
            after: Leave out so many of the first.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
        """
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.runs.steps(viewer, run_id, limit, after))

    async def aget_steps(
        self, run_id: str, *, user_id: str | None = None, limit: int = 1000, after: int = 0
    ) -> list[StepExecution]:
        """As `get_steps`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.runs.steps(viewer, run_id, limit, after))

    def get_workflow_history(
        self, session_id: str, *, user_id: str | None = None, num_runs: int = 3
    ) -> list[RunOutput]:
        """Return the latest completed runs of a session, in order: inputs and what they came to."""
        return self._do(
            lambda service: service.sessions.workflow_history(
                self._viewer(user_id), session_id, num_runs
            )
        )

    async def aget_workflow_history(
        self, session_id: str, *, user_id: str | None = None, num_runs: int = 3
    ) -> list[RunOutput]:
        """As `get_workflow_history`, for async callers."""
        return await self._ado(
            lambda service: service.sessions.workflow_history(
                self._viewer(user_id), session_id, num_runs
            )
        )

    @property
    def fingerprint(self) -> str:
        """A digest of the declaration: two workflows with the same one do the same."""
        pinned: dict[str, JsonValue] = {
            "shape": self.layout.shape.pinned,
            "session_state": self.session_state,
        }
        return digest(pinned)

    @property
    def code(self) -> tuple[object, ...]:
        """The steps' functions, and those that choose and judge."""
        return tuple((one.main, one.review_when) for one in self.layout.code.values())

    @property
    def initial_state(self) -> dict[str, JsonValue]:
        """The state with which a new session begins."""
        return dict(self.session_state)

    @property
    def parts(self) -> tuple[Component, ...]:
        """The agents, teams and workflows in it, which are registered with it."""
        return tuple(self.layout.parts)
