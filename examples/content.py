"""A content pipeline: research in parallel, a draft that an editor sends back, a gated release.

Run it with `python examples/content.py`.
"""

from datetime import timedelta

from kern.agent import Agent
from kern.models.base import ModelRequest
from kern.models.scripted import ScriptedModel
from kern.requirements import Requirement
from kern.states import RequirementKind
from kern.tools import Approval
from kern.workflow import HumanReview, Parallel, Step, StepInput, Workflow

reader = Agent(id="reader", name="papers", model=ScriptedModel(["Bees dance to give directions."]))
listener = Agent(id="listener", name="talks", model=ScriptedModel(["A dance lasts some seconds."]))


def write(request: ModelRequest) -> str:
    if "Say for how long" in request.messages[-1].content:
        return "Bees dance for some seconds to tell the others where to fly."
    return "Bees dance."


writer = Agent(id="writer", model=ScriptedModel(write))


def publish(told: StepInput) -> str:
    return f"Published: {told.previous_content}"


editors = Approval(candidates=("erin", "olaf"), due=timedelta(days=2))
content = Workflow(
    id="content",
    steps=[
        Parallel(reader, listener, name="research"),
        Step(
            "draft",
            writer,
            human_review=HumanReview(
                requires_output_review=True,
                output_review_message="Is it fit to print?",
                approval=editors,
            ),
        ),
        Step("publish", publish, human_review=HumanReview(requires_confirmation=True)),
    ],
)


def decide(requirement: Requirement) -> None:
    """Answer as people would at an inbox."""
    if requirement.kind is RequirementKind.confirmation:
        requirement.confirm(by="olaf")
    elif "seconds" in str(requirement.arguments["output"]):
        requirement.confirm(by="erin")
    else:
        requirement.reject("Say for how long, and why.", by="erin")


if __name__ == "__main__":
    response = content.run("Why do bees dance?")
    while response.is_paused:
        for requirement in response.active_requirements:
            print("Deciding", requirement.kind, " / ".join(requirement.path))
            decide(requirement)
        response = content.continue_run(response.run_id, response.requirements)
    print(response.content)
