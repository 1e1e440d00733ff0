"""Pipelines of functions on a real server: what comes next, and what becomes of failures."""

from kern.client.runtime import Runtime
from kern.ids import new_id
from kern.states import RunStatus
from kern.workflow import Condition, Loop, Parallel, Router, Step, StepInput, StepOutput, Workflow


def pipeline(*steps: object, **options: object) -> Workflow:
    """Return a workflow under an id that no other test uses."""
    return Workflow(id=f"workflow-{new_id()}", steps=list(steps), **options)  # type: ignore[arg-type]


def upper(told: StepInput) -> str:
    return str(told.previous_content).upper()


def exclaim(told: StepInput) -> str:
    return f"{told.previous_content}!"


def test_steps_run_one_after_another(runtime: Runtime) -> None:
    output = pipeline(upper, exclaim).run("hello")
    assert output.status is RunStatus.completed, output.error
    assert output.content == "HELLO!"
