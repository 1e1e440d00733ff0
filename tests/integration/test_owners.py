"""Law 7: a user who does not own a session neither reads it nor acts in it, on any path."""

from collections.abc import Callable

import pytest

from kern.agent import Agent
from kern.client.runtime import Runtime
from kern.errors import NotAllowed
from kern.models.scripted import Call
from kern.run import RunOutput
from kern.tools import tool
from tests.support.agents import scripted

Path = Callable[[Agent, RunOutput, str | None], object]

PATHS: dict[str, Path] = {
    "read": lambda agent, run, user: agent.get_run_output(run.run_id, user_id=user),
    "run": lambda agent, run, user: agent.run("Hi", session_id=run.session_id, user_id=user),
    "same run": lambda agent, run, user: agent.run("Pay", run_id=run.run_id, user_id=user),
    "resolve": lambda agent, run, user: agent.continue_run(
        run.run_id, [run.requirements[0].confirm()], user_id=user
    ),
    "wait": lambda agent, run, user: agent.continue_run(run.run_id, user_id=user),
    "cancel": lambda agent, run, user: agent.cancel_run(run.run_id, user_id=user),
}


@tool(requires_confirmation=True)
def pay() -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("owner", "other"), [("ann", "eve"), (None, "eve"), ("ann", "")])
def test_another_user_is_refused(
    runtime: Runtime, path: str, owner: str | None, other: str
) -> None:
    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay", user_id=owner)

    with pytest.raises(NotAllowed, match="another user"):
        PATHS[path](agent, paused, other)

    untouched = agent.get_run_output(paused.run_id, user_id=owner)
    assert untouched.is_paused
    assert untouched.requirements[0].resolution is None


@pytest.mark.parametrize("path", ["read", "run", "same run", "wait", "cancel"])
def test_leaving_the_user_out_reaches_nobodys_session(runtime: Runtime, path: str) -> None:
    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay", user_id="ann")

    with pytest.raises(NotAllowed, match="no user_id was given"):
        PATHS[path](agent, paused, None)


def test_the_objects_that_the_owner_read_speak_for_the_owner(runtime: Runtime) -> None:
    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay", user_id="ann")
    paused.requirements[0].confirm()

    done = agent.continue_run(run_id=paused.run_id, requirements=paused.requirements)

    assert done.content == "Done."
    assert done.requirements[0].resolution is not None
    assert done.requirements[0].resolution.by == "ann"
