"""Law 7: a user who does not own a session neither reads it nor acts in it, on any path."""

from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from kern import inbox
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.components.registry import Registry
from kern.errors import InvalidInput, NotAllowed
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.requirements import Requirement, bind_reader
from kern.run import RunOutput
from kern.tools import tool
from tests.conftest import running
from tests.support.agents import scripted
from tests.support.templates import sqlite_with_tables

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
    "session": lambda agent, run, user: agent.get_session(run.session_id, user_id=user),
    "chat": lambda agent, run, user: agent.get_chat_history(run.session_id, user_id=user),
    "messages": lambda agent, run, user: agent.get_session_messages(run.session_id, user_id=user),
    "state": lambda agent, run, user: agent.get_session_state(run.session_id, user_id=user),
    "change state": lambda agent, run, user: agent.update_session_state(
        run.session_id, {"a": 1}, user_id=user
    ),
    "metrics": lambda agent, run, user: agent.get_session_metrics(run.session_id, user_id=user),
    "summary": lambda agent, run, user: agent.get_session_summary(run.session_id, user_id=user),
    "name": lambda agent, run, user: agent.set_session_name(run.session_id, "Name", user_id=user),
    "fork": lambda agent, run, user: agent.fork_session(run.session_id, user_id=user),
    "delete": lambda agent, run, user: agent.delete_session(run.session_id, user_id=user),
}
# What an object of the owner's does not come with.
BY_ID = sorted(set(PATHS) - {"resolve"})


@tool(requires_confirmation=True)
def pay() -> str:
    """Pay."""
    return "paid"


@pytest.fixture(scope="module")
def runtime(folder: FilePath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """One runtime for all of these tests: they look at runs of their own."""
    settings = Settings(home=folder, heartbeat_seconds=1.0, relay_seconds=0.1)
    database = sqlite_with_tables(tmp_path_factory.mktemp("owners") / "kern.db")
    with pytest.MonkeyPatch.context() as patch:
        yield from running(Runtime(settings, database, Registry()), patch)


@pytest.fixture(scope="module")
def agent(runtime: Runtime) -> Agent:
    """An agent that asks before it pays."""
    return scripted([Call("pay"), "Done."], [pay])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("owner", "other"), [("ann", "eve"), (None, "eve")])
def test_another_user_is_refused(agent: Agent, path: str, owner: str | None, other: str) -> None:
    paused = agent.run("Pay", user_id=owner)

    with pytest.raises(NotAllowed, match="another user"):
        PATHS[path](agent, paused, other)

    untouched = agent.get_run_output(paused.run_id, user_id=owner)
    assert untouched.is_paused
    assert untouched.requirements[0].resolution is None
    session = agent.get_session(paused.session_id, user_id=owner)
    assert (session.name, session.session_state, session.run_count) == (None, {}, 1)


@pytest.mark.parametrize("path", BY_ID)
def test_leaving_the_user_out_reaches_nobodys_session(agent: Agent, path: str) -> None:
    paused = agent.run("Pay", user_id="ann")

    with pytest.raises(NotAllowed, match="no user_id was given"):
        PATHS[path](agent, paused, None)


def test_the_objects_that_the_owner_read_speak_for_the_owner(agent: Agent) -> None:
    paused = agent.run("Pay", user_id="ann")
    paused.requirements[0].confirm()

    done = agent.continue_run(run_id=paused.run_id, requirements=paused.requirements)

    assert done.content == "Done."
    assert done.requirements[0].resolution is not None
    assert done.requirements[0].resolution.by == "ann"


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_user_is_refused_and_not_taken_for_none(agent: Agent, path: str) -> None:
    paused = agent.run("Pay")

    with pytest.raises(InvalidInput, match="user_id is empty"):
        PATHS[path](agent, paused, "")


@pytest.fixture(scope="module")
def other(runtime: Runtime) -> Agent:
    """Another agent of the same people."""
    return scripted(["Hello."])


@pytest.mark.parametrize("path", sorted(set(PATHS) - {"same run"}))
def test_a_component_reaches_its_own_runs_and_sessions_only(
    agent: Agent, other: Agent, path: str
) -> None:
    paused = agent.run("Pay", user_id="ann")

    with pytest.raises(InvalidInput, match=f"component '{agent.id}', not to '{other.id}'"):
        PATHS[path](other, paused, "ann")

    untouched = agent.get_run_output(paused.run_id, user_id="ann")
    assert untouched.is_paused
    assert untouched.requirements[0].resolution is None
    assert other.get_sessions(user_id="ann").sessions == []


def test_a_listing_holds_the_sessions_of_one_user_and_one_component(runtime: Runtime) -> None:
    agent, other = scripted(["Hello."]), scripted(["Hello."])
    of_ann = [agent.run("Hi", user_id="ann").session_id for _ in range(3)]
    anonymous = agent.run("Hi").session_id
    other.run("Hi", user_id="ann")

    first = agent.get_sessions(user_id="ann", limit=2)
    rest = agent.get_sessions(user_id="ann", limit=2, cursor=first.next_cursor)

    found = [session.session_id for session in [*first.sessions, *rest.sessions]]
    assert found == list(reversed(of_ann))
    assert rest.next_cursor is None
    assert [one.session_id for one in agent.get_sessions().sessions] == [anonymous]
    with pytest.raises(InvalidInput, match="user_id is empty"):
        agent.get_sessions(user_id="")


def test_a_requirement_made_of_data_speaks_for_nobody(runtime: Runtime) -> None:
    """A web handler may be given requirements as JSON: their `user_id` is what somebody wrote."""
    agent = scripted([Call("pay"), "Paid."], [pay])
    run = agent.run("my secret is 1234", user_id="victim")
    (requirement,) = run.active_requirements
    made_up = Requirement.model_validate(
        {
            "id": "x",
            "run_id": run.run_id,
            "session_id": "x",
            "user_id": "victim",
            "kind": "confirmation",
            "created_at": requirement.created_at,
        }
    )
    copied = Requirement.model_validate_json(requirement.model_dump_json())
    renamed = requirement.model_copy(update={"user_id": "victim"})
    bind_reader(renamed, "mallory")
    for item in (made_up, copied, copied.confirm(by="mallory"), renamed):
        with pytest.raises(NotAllowed):
            agent.continue_run(run.run_id, [item])
        with pytest.raises(NotAllowed):
            list(agent.continue_run(run.run_id, [item], stream=True))
    assert agent.get_run_output(run.run_id, user_id="victim").is_paused
    # The owner says so, or has the objects that Kern handed out.
    assert agent.continue_run(run.run_id, [copied], user_id="victim").content == "Paid."


def test_what_an_operator_read_speaks_for_nobody(agent: Agent) -> None:
    paused = agent.run("Pay", user_id="ann")
    (item,) = paused.active_requirements
    for read in (inbox.get(item.id), *inbox.pending(run_id=paused.run_id).requirements):
        with pytest.raises(NotAllowed, match="no user_id was given"):
            agent.continue_run(paused.run_id, [read.confirm()])
        with pytest.raises(NotAllowed, match="no user_id was given"):
            list(agent.continue_run(paused.run_id, [read.confirm()], stream=True))
    assert agent.get_run_output(paused.run_id, user_id="ann").is_paused
    receipt = inbox.decide(inbox.get(item.id).confirm(by="boss"))
    assert receipt.requirement.resolution is not None
    assert receipt.requirement.resolution.by == "boss"
    with pytest.raises(NotAllowed, match="no user_id was given"):
        agent.continue_run(paused.run_id, [receipt.requirement])


def test_what_the_owner_read_again_speaks_for_the_owner(agent: Agent) -> None:
    paused = agent.run("Pay", user_id="ann")
    read = agent.get_run_output(paused.run_id, user_id="ann")
    (item,) = read.active_requirements

    assert agent.continue_run(paused.run_id, [item.confirm()]).content == "Done."
