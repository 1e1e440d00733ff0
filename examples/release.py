"""A release agent: people choose, fill in, approve within a day, and report results.

Run it with `python examples/release.py`.
"""

from datetime import timedelta

from kern.agent import Agent
from kern.models.scripted import Call, ScriptedModel
from kern.requirements import Requirement, RequirementKind
from kern.tools import Approval, ask_user, tool


@tool(requires_user_input=True, user_input_fields=["ticket"])
def announce(version: str, ticket: str) -> str:
    """Announce a release under its ticket."""
    return f"Announced {version} under {ticket}."


@tool(requires_confirmation=True, approval=Approval(due=timedelta(days=1), on_expiry="reject"))
def deploy(version: str, region: str) -> str:
    """Deploy a release."""
    return f"Deployed {version} to {region}."


@tool(external_execution=True)
def flip_dns(region: str) -> None:
    """Point the name at a region. A person with the rights does it by hand."""


agent = Agent(
    id="release",
    model=ScriptedModel(
        [
            Call("ask_user", question="Which region first?", options=["eu", "us"]),
            [Call("deploy", version="1.4", region="eu"), Call("announce", version="1.4")],
            Call("flip_dns", region="eu"),
            "Version 1.4 is live in eu.",
        ]
    ),
    tools=[ask_user, announce, deploy, flip_dns],
)


def decide(requirement: Requirement) -> None:
    """Answer as a person would at an inbox."""
    match requirement.kind:
        case RequirementKind.user_feedback:
            requirement.provide_user_feedback(requirement.choices[0], by="dana")
        case RequirementKind.user_input:
            requirement.provide_user_input({"ticket": "OPS-7"}, by="dana")
        case RequirementKind.external_execution:
            requirement.set_external_execution_result("done at 10:04", by="olaf")
        case _:
            requirement.confirm(by="dana")


if __name__ == "__main__":
    response = agent.run("Release 1.4")
    while response.is_paused:
        for requirement in response.active_requirements:
            print("Deciding", requirement.kind, requirement.tool_name)
            decide(requirement)
        response = agent.continue_run(response.run_id, response.requirements)
    print(response.content)
