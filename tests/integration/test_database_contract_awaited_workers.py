"""Which runs wait for a worker, by what the living workers report of themselves."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from kern.agent import Agent
from kern.components.policies import policy_of
from kern.contracts.reports import AwaitedWorker, ParkedRuns
from kern.db.runs import workers
from kern.db.runs.awaited_workers import (
    active_components,
    awaited_by,
    awaited_workers,
    parked_runs,
)
from kern.db.runs.workers import WorkerIdentity
from kern.models.scripted import ScriptedModel
from kern.tools import Approval, tool
from kern.values.ids import new_id
from kern.values.states import Verdict
from tests.support.stored_runs import NOW, Stored, after, question, refund

LATER = after(30)


@pytest.fixture
def name() -> str:
    """The id of a component that no other test uses."""
    return f"agent-{new_id()}"


@pytest.fixture
def work(stored: Stored) -> Callable[..., None]:
    """Has a worker report that it has an agent with these tools."""

    def report(name: str, *tools: Callable[..., str], at: datetime = LATER) -> None:
        agent = Agent(id=name, model=ScriptedModel(["Done."]), tools=list(map(tool, tools)))
        identity = WorkerIdentity(new_id(), "host", 7, at)
        stored.do(lambda tx: workers.beat(tx, identity, {name: policy_of(agent)}, at))

    return report


def pay(amount: int) -> str:
    """Pay."""
    return f"{amount}"


def awaited(stored: Stored, run_id: str, at: datetime = LATER) -> list[AwaitedWorker]:
    return stored.look(lambda tx: awaited_by(tx, run_id, at))


def everywhere(stored: Stored, name: str, at: datetime = LATER) -> list[AwaitedWorker]:
    found = stored.look(lambda tx: awaited_workers(tx, at))
    return [item for item in found if item.component_id == name]


def test_a_run_waits_for_a_worker_that_has_its_component(
    stored: Stored, name: str, work: Callable[..., None]
) -> None:
    run_id, _ = stored.accept(component_id=name)
    expected = AwaitedWorker(run_id=run_id, component_id=name, since=NOW)
    assert awaited(stored, run_id) == everywhere(stored, name) == [expected]
    # It may be about to be taken.
    assert awaited(stored, run_id, after(1)) == []
    work(name)
    assert awaited(stored, run_id) == everywhere(stored, name) == []
    # A worker that was killed is forgotten.
    assert awaited(stored, run_id, LATER + timedelta(minutes=5)) == [expected]


def test_a_call_waits_for_a_worker_that_has_its_tool(
    stored: Stored, name: str, work: Callable[..., None]
) -> None:
    run_id = stored.run_of(stored.call(component_id=name))
    work(name, pay)
    (item,) = awaited(stored, run_id)
    assert (item.tool, item.missing, item.since) == ("refund", "refund", NOW)
    assert everywhere(stored, name) == [item]
    work(name, pay, refund)
    assert awaited(stored, run_id) == []


def test_a_call_waits_from_its_approval_on(
    stored: Stored, name: str, work: Callable[..., None]
) -> None:
    call_id = stored.call(question(), component_id=name)
    run_id = stored.run_of(call_id)
    work(name, pay)
    # It waits for a person, and the worker has what else there is.
    assert awaited(stored, run_id) == []
    stored.resolve(stored.requirement(call_id), at=after(20))
    assert awaited(stored, run_id, after(22)) == []
    (item,) = awaited(stored, run_id)
    assert (item.tool, item.since) == ("refund", after(20))


def test_a_parked_run_waits_for_a_worker_besides(
    stored: Stored, name: str, work: Callable[..., None]
) -> None:
    run_id = stored.run_of(stored.call(question(), component_id=name))
    (item,) = awaited(stored, run_id)
    assert (item.component_id, item.is_parked, item.since) == (name, True, NOW)
    assert everywhere(stored, name) == []
    assert parked(stored, name) == [ParkedRuns(component_id=name, count=1, oldest=NOW)]
    work(name)
    assert awaited(stored, run_id) == []
    assert parked(stored, name) == []


def parked(stored: Stored, name: str) -> list[ParkedRuns]:
    found = stored.look(lambda tx: parked_runs(tx, LATER))
    return [item for item in found if item.component_id == name]


def test_a_component_with_a_deadline_to_come_is_active(stored: Stored, name: str) -> None:
    asked = question(approval=Approval(due=timedelta(hours=1)))
    call_id = stored.call(asked, component_id=name)
    assert stored.look(lambda tx: active_components(tx, [name])) == {name}
    stored.resolve(stored.requirement(call_id), Verdict.reject)
    stored.answer(stored.run_of(call_id), turn=2, content="Done.")
    assert stored.look(lambda tx: active_components(tx, [name])) == set()


def test_a_component_is_active_until_its_runs_are_parked_or_over(stored: Stored, name: str) -> None:
    def is_active() -> bool:
        return stored.look(lambda tx: active_components(tx, [name, "other"])) == {name}

    assert not is_active()
    call_id = stored.call(question(), component_id=name)
    assert not is_active()
    stored.resolve(stored.requirement(call_id))
    assert is_active()
    stored.begin(call_id)
    stored.finish(call_id)
    assert is_active()
    stored.answer(stored.run_of(call_id), turn=2, content="Done.")
    assert not is_active()
