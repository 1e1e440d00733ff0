"""Teams for tests, whose leaders and members answer from scripts."""

from collections.abc import Callable, Sequence

from kern.components.agents.model_component import ModelComponent
from kern.models.base import ModelRequest
from kern.models.scripted import Call, Script, ScriptedModel
from kern.run import RunOutput
from kern.team import Mode, Team
from kern.values.ids import new_id


def team(
    members: Sequence[ModelComponent],
    script: Script,
    mode: Mode = "coordinate",
    **options: object,
) -> Team:
    """Return a team whose leader answers from a script, under an id that no other test uses."""
    return Team(
        id=f"team-{new_id()}",
        members=members,
        model=ScriptedModel(script),
        mode=mode,
        **options,  # type: ignore[arg-type]
    )


def delegating(
    *tasks: tuple[ModelComponent, str],
) -> Callable[[ModelRequest], Sequence[Call] | str]:
    """Return a leader's script: give out these tasks at once, then tell what came back."""

    def lead(request: ModelRequest) -> Sequence[Call] | str:
        returned = told(request)
        if returned:
            return " / ".join(returned)
        return [
            Call("delegate_task_to_member", member_id=member.id, task=task)
            for member, task in tasks
        ]

    return lead


def told(request: ModelRequest) -> list[str]:
    """Return what came back of the calls since the user spoke last."""
    found: list[str] = []
    for message in reversed(request.messages):
        if message.role == "user":
            break
        if message.role == "tool":
            found.append(message.content)
    return found[::-1]


def member_runs(component: Team, run: RunOutput) -> list[RunOutput]:
    """Return the runs of the members that a run's calls were given to, in the calls' order."""
    ids = [call.child_run_id for call in run.tools if call.child_run_id]
    return [component.get_run_output(one, user_id=run.user_id) for one in ids]
