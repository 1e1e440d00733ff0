"""An app of workflows for the command line's tests."""

from pathlib import Path

from kern.workflow import HumanReview, Parallel, Step, StepInput, Workflow


def shout(told: StepInput) -> str:
    return str(told.previous_content).upper()


def unlucky(told: StepInput) -> str:
    if not Path("luck").exists():
        raise RuntimeError("no luck")
    return f"{told.previous_content}!"


review = HumanReview(requires_confirmation=True, confirmation_message="Shout?")
flow = Workflow(
    id="flow",
    steps=[
        Step("shout", shout, human_review=review),
        Parallel(Step("left", shout), Step("right", shout)),
        Step("unlucky", unlucky, on_error="pause"),
    ],
)
failing = Workflow(id="failing", steps=[shout, Step("unlucky", unlucky)])
