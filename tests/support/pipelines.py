"""Workflows for tests, each under an id of its own, and what their steps do."""

from typing import Any

from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.ids import new_id
from kern.workflow import StepInput, Workflow


def pipeline(*steps: Any, **options: Any) -> Workflow:  # noqa: ANN401  whatever a workflow takes
    """Return a workflow under an id that no other test uses."""
    named: dict[str, Any] = {"id": f"workflow-{new_id()}", **options}
    return Workflow(steps=list(steps), **named)


def upper(told: StepInput) -> str:
    return str(told.previous_content).upper()


def exclaim(told: StepInput) -> str:
    return f"{told.previous_content}!"


def only(output: RunOutput) -> Requirement:
    """Return the one requirement that a run waits for."""
    (requirement,) = output.active_requirements
    return requirement


def go_on(workflow: Workflow, output: RunOutput) -> RunOutput:
    """Submit what was filled in on a run's requirements."""
    return workflow.continue_run(output.run_id, output.requirements)
