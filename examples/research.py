"""A research team: a leader, two researchers, and an editor who publishes when a person agrees.

    kern run --app examples/research.py "Is tea or coffee older?"

It needs no account: its models are scripted. Replace them by `OpenAIResponses(id="…")`.
"""

from kern.agent import Agent
from kern.models.base import ModelRequest
from kern.models.scripted import Call, ScriptedModel
from kern.team import Team
from kern.tools import tool

RESEARCHERS = 2


@tool(requires_confirmation=True)
def publish(text: str) -> str:
    """Put a text on the front page."""
    return f"Published: {text}"


def lead(request: ModelRequest) -> str | Call | list[Call]:
    """Play the leader: give tasks to both researchers at once, then to the editor, then sum up."""
    results = [message.content for message in request.messages if message.role == "tool"]
    delegate = "delegate_task_to_member"
    if not results:
        return [
            Call(delegate, member_id="historian", task="When was tea first drunk?"),
            Call(delegate, member_id="botanist", task="Where does coffee come from?"),
        ]
    if len(results) == RESEARCHERS:
        return Call(delegate, member_id="editor", task=f"Publish this: {' '.join(results)}")
    return f"The team is done. {results[-1]}"


def edit(request: ModelRequest) -> str | Call:
    """Play the editor: publish the leader's text, and report the result."""
    last = request.messages[-1]
    if last.role == "tool":
        return last.content
    return Call("publish", text=last.content.removeprefix("Publish this: "))


historian = Agent(
    name="historian",
    role="Knows when things happened",
    model=ScriptedModel(["Tea was drunk in China before 200 BC."]),
)
botanist = Agent(
    name="botanist",
    role="Knows where plants come from",
    model=ScriptedModel(["Coffee comes from Ethiopia, after 800 AD."]),
)
editor = Agent(
    name="editor",
    role="Publishes texts, once a person agrees",
    model=ScriptedModel(edit),
    tools=[publish],
)
team = Team(name="research", members=[historian, botanist, editor], model=ScriptedModel(lead))

if __name__ == "__main__":
    run = team.run("Is tea or coffee older?", user_id="mara")
    while run.is_paused:
        for requirement in run.active_requirements:
            print(" → ".join(requirement.path), requirement.arguments)
            requirement.confirm(by="dana")
        run = team.continue_run(run.run_id, run.requirements)
    print(run.content)
