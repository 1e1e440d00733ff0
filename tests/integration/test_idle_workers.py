"""Agents made per request: their workers end with them, lose nothing, and come back."""

import gc
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kern import inbox
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.client.temporal import idle_workers
from kern.client.temporal.workers import ComponentWorkers
from kern.components.component import Component
from kern.components.registry import Registry
from kern.contracts.viewer import OPERATOR
from kern.errors import InvalidDefinition
from kern.models.scripted import Call, ScriptedModel, Step
from kern.process.settings import Settings
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.tools import Approval, tool
from kern.values.ids import new_id
from tests.conftest import running
from tests.support.agents import Ledger, held, paying
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers end as soon as they have nothing to do."""
    monkeypatch.setattr(idle_workers, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(idle_workers, "_SHORT_SECONDS", 0.0)


@pytest.fixture
def free() -> Iterator[threading.Event]:
    """Lets tools go."""
    event = threading.Event()
    yield event
    event.set()


def workers_of(runtime: Runtime) -> ComponentWorkers:
    workers = runtime._workers  # pyright: ignore[reportPrivateUsage]
    assert workers is not None
    return workers


def served(runtime: Runtime) -> set[str]:
    """Return the ids of the components that have a worker or are known."""
    gc.collect()
    known = runtime._registry.ids  # pyright: ignore[reportPrivateUsage]
    return {*workers_of(runtime)._workers, *known}  # pyright: ignore[reportPrivateUsage]


def helper(user: str) -> Agent:
    return Agent(instructions=f"You help {user}.", model=ScriptedModel(["Hello."]))


def payer(name: str, ledger: Ledger) -> Agent:
    script: list[Step] = [Call("pay", amount=1), "Paid."]
    return Agent(id=name, model=ScriptedModel(script), tools=[paying(ledger)])


def approved(paused: RunOutput) -> Requirement:
    (requirement,) = paused.active_requirements
    requirement.confirm(by="dana")
    return requirement


def content_of(runtime: Runtime, run_id: str) -> object:
    """Return what a run answered, for whoever has no component of it."""
    return runtime.call(lambda service: service.runs.read(OPERATOR, run_id)).content


def test_workers_of_dropped_agents_end_and_those_of_others_stay(runtime: Runtime) -> None:
    mine = helper("everybody")
    mine.run("Hi")
    for number in range(5):
        assert helper(f"{number}-{new_id()}").run("Hi").content == "Hello."
    wait_until(lambda: served(runtime) == {mine.id})
    assert mine.run("Hi").content == "Hello."


def test_the_same_declaration_again_has_a_worker_again(runtime: Runtime) -> None:
    user = new_id()
    session_id = helper(user).run("Hi").session_id
    wait_until(lambda: not served(runtime))
    assert helper(user).run("Again", session_id=session_id).content == "Hello."


def test_an_active_run_keeps_the_worker_of_a_dropped_agent(
    runtime: Runtime, ledger: Ledger, free: threading.Event
) -> None:
    name = f"agent-{new_id()}"
    script: list[Step] = [Call("work"), "Done."]
    run_id = (
        Agent(id=name, model=ScriptedModel(script), tools=[held(ledger, free)])
        .run("Work", background=True)
        .run_id
    )
    wait_until(lambda: ledger.lines)
    runtime.call(lambda _: workers_of(runtime).end_idle())
    assert served(runtime) == {name}
    free.set()
    wait_until(lambda: content_of(runtime, run_id) == "Done.")
    wait_until(lambda: not served(runtime))


def test_a_deadline_to_come_keeps_the_worker_of_a_dropped_agent(
    runtime: Runtime, ledger: Ledger
) -> None:
    script: list[Step] = [Call("pay", amount=1), "Not paid."]
    soon = Approval(due=timedelta(seconds=3))
    tools = [paying(ledger, soon)]
    paused = Agent(id=f"agent-{new_id()}", model=ScriptedModel(script), tools=tools).run("Pay")
    assert paused.active_requirements
    gc.collect()
    wait_until(lambda: content_of(runtime, paused.run_id) == "Not paid.")
    wait_until(lambda: not served(runtime))


def test_what_was_decided_meanwhile_is_executed_when_the_agent_is_made_again(
    runtime: Runtime, ledger: Ledger
) -> None:
    name = f"agent-{new_id()}"
    paused = payer(name, ledger).run("Pay")
    wait_until(lambda: not served(runtime))
    inbox.decide(approved(paused))
    assert ledger.lines == []
    again = payer(name, ledger)
    assert again.continue_run(paused.run_id).content == "Paid."
    assert ledger.lines == ["paid 1"]


def test_what_a_worker_took_as_it_was_ended_comes_to_its_end(
    runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"agent-{new_id()}"
    paused = payer(name, ledger).run("Pay")
    looked, end = list[str](), ComponentWorkers._end  # pyright: ignore[reportPrivateUsage]

    async def decide_and_end(workers: ComponentWorkers, component: Component) -> None:
        # After it was found idle, and before its worker stops to poll.
        if not looked:
            looked.append(component.id)
            await inbox.adecide(approved(paused))
        await end(workers, component)

    monkeypatch.setattr(ComponentWorkers, "_end", decide_and_end)
    gc.collect()
    wait_until(lambda: content_of(runtime, paused.run_id) == "Paid.")
    assert looked == [name]
    assert ledger.lines == ["paid 1"]


def test_a_worker_is_started_again_for_an_agent_that_is_made_while_it_ends(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, made = new_id(), list[Agent]()
    first_id = helper(user).id
    forget = Registry.forget

    def make_and_forget(registry: Registry, component: Component) -> bool:
        if not made:
            made.append(helper(user))
            registry.register(made[0])
        return forget(registry, component)

    monkeypatch.setattr(Registry, "forget", make_and_forget)
    helper(user).run("Hi")
    gc.collect()
    wait_until(lambda: made and served(runtime) == {first_id})
    assert made[0].run("Hi").content == "Hello."


def test_beyond_a_number_the_oldest_end_although_they_might_be_needed_soon(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_workers, "_IDLE_SECONDS", 3600.0)
    monkeypatch.setattr(idle_workers, "_MOST_ORPHANS", 2)
    names = [f"{number}-{new_id()}" for number in range(4)]
    ids = [helper(name).id for name in names]
    for name in names:
        helper(name).run("Hi")
    wait_until(lambda: served(runtime) == set(ids[2:]))


def test_more_components_than_a_process_may_have_are_refused_with_a_way_out(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = sqlite_with_tables(tmp_path / "kern.db")
    few = settings.model_copy(update={"worker_limit": 2})
    for runtime in running(Runtime(few, database, Registry()), monkeypatch):
        agents = [helper(f"{number}-{new_id()}") for number in range(3)]
        agents[0].run("Hi")
        agents[1].run("Hi")
        with pytest.raises(InvalidDefinition, match="id=") as caught:
            agents[2].run("Hi")
        assert "KERN_WORKER_LIMIT" in str(caught.value)
        assert agents[0].run("Hi").content == "Hello."
        assert served(runtime) == {agent.id for agent in agents[:2]}
        # Those that are dropped make room.
        del agents[0]
        wait_until(lambda: len(served(runtime)) == 1)  # noqa: B023
        assert agents[-1].run("Hi").content == "Hello."


def test_an_agent_that_a_tool_makes_is_no_leak(runtime: Runtime) -> None:
    @tool
    def ask(user: str) -> str:
        """Ask another agent."""
        return str(helper(user).run("Hi").content)

    user = new_id()
    outer = Agent(
        id=f"agent-{new_id()}",
        model=ScriptedModel([Call("ask", user=user), "Done."]),
        tools=[ask],
    )
    assert outer.run("Hi").content == "Done."
    wait_until(lambda: served(runtime) == {outer.id})
