"""Workflows: steps in a fixed order, each an agent, a team, a function or another workflow."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from kern.components.agents.option_checks import require_filled, require_number, require_state
from kern.components.run_methods import id_of
from kern.components.runnable import Runnable
from kern.components.steps.blocks import Step, StepLike, Steps
from kern.components.steps.compile import WorkflowDefinition, compile_steps
from kern.components.steps.containers import Condition, Loop, Parallel, Router
from kern.components.steps.review import HumanReview
from kern.components.steps.values import StepInput, StepOutput
from kern.components.steps.workflow_agent import WorkflowAgent
from kern.context.chat_history import PastRun
from kern.contracts.database import Database
from kern.errors import InvalidDefinition
from kern.run import RunOutput, StepExecution
from kern.values.validation import require_bools

__all__ = [
    "Condition",
    "HumanReview",
    "Loop",
    "Parallel",
    "PastRun",
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

    A run pins the order of its steps when it is accepted. A later version of the code changes no
    accepted run; the run only looks up the functions in it, by the steps' ids. A step that has
    ended is never executed again, whatever crashes. Every method has an async twin whose name
    begins with `a`.

    Args:
        id: The id by which runs find this workflow's code again, in this and in later processes.
            Default: made from `name`, or from the declaration itself if there is no name.
        name: The name that people see.
        steps: The steps, in order: functions, agents, teams, workflows, or `Step`, `Steps`,
            `Parallel`, `Condition`, `Loop` and `Router`.
        session_state: The state with which a new session begins; all steps share it.
        db: The database that keeps the runs; default: the runtime's.
        add_workflow_history_to_steps: Whether steps see the session's earlier runs: functions in
            `StepInput.history`, agents and teams before their input.
        num_history_runs: The number of completed runs that they see, at most.

    Raises:
        InvalidDefinition: a step is declared in a way that cannot work.
    """

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
        require_filled(id=id, name=name)
        require_bools(add_workflow_history_to_steps=add_workflow_history_to_steps)
        require_number("num_history_runs", num_history_runs)
        history = num_history_runs if add_workflow_history_to_steps else 0
        self._layout = compile_steps(Steps(steps, name=name or id or "workflow"), history)
        self.session_state = require_state(session_state)
        super().__init__(id, name, db, prefix="workflow")
        if any(part.id == self.id for part in self._layout.parts):
            message = f"The workflow {self.id!r} has a step of the same id: give each its own."
            raise InvalidDefinition(message)

    def get_steps(
        self,
        run_id: str | RunOutput,
        *,
        user_id: str | None = None,
        limit: int = 1000,
        after: int = 0,
    ) -> list[StepExecution]:
        """Read the steps that a run has opened, in that order; the first is the workflow itself.

        Args:
            run_id: The run's id, or its output.
            user_id: The session's owner.
            limit: The number of steps, at most.
            after: The number of steps to skip from the beginning.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to another user.
        """
        viewer, known_id = self._viewer(user_id), id_of(run_id)
        return self._do(lambda service: service.runs.steps(viewer, known_id, limit, after))

    async def aget_steps(
        self,
        run_id: str | RunOutput,
        *,
        user_id: str | None = None,
        limit: int = 1000,
        after: int = 0,
    ) -> list[StepExecution]:
        """As `get_steps`, for async callers."""
        viewer, known_id = self._viewer(user_id), id_of(run_id)
        return await self._ado(lambda service: service.runs.steps(viewer, known_id, limit, after))

    def get_workflow_history(
        self, session_id: str, *, user_id: str | None = None, num_runs: int = 3
    ) -> list[RunOutput]:
        """Return the latest completed runs of a session, in order, with inputs and outputs."""
        viewer = self._viewer(user_id)
        return self._do(
            lambda service: service.sessions.workflow_history(viewer, session_id, num_runs)
        )

    async def aget_workflow_history(
        self, session_id: str, *, user_id: str | None = None, num_runs: int = 3
    ) -> list[RunOutput]:
        """As `get_workflow_history`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(
            lambda service: service.sessions.workflow_history(viewer, session_id, num_runs)
        )

    def _define(self) -> WorkflowDefinition:
        layout, session_state = self._layout, self.session_state
        return WorkflowDefinition(
            kind="workflow",
            declare=lambda: {"shape": layout.shape.declared, "session_state": session_state},
            code=tuple((code.main, code.review_when) for code in layout.code.values()),
            parts=tuple(layout.parts),
            session_state=session_state,
            layout=layout,
        )
