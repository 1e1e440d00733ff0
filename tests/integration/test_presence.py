"""Workers report that they are there, and under which policies."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kern.activities.executions import Executions
from kern.agent import Agent
from kern.client.processes.presence import Presence
from kern.components.policies import policy_of
from kern.components.registry import Registry
from kern.contracts.reports import WorkerPolicies
from kern.db.runs import workers
from kern.models.scripted import ScriptedModel
from kern.tools import tool
from tests.support.stored_runs import NAMES, Stored, opened
from tests.support.waiting import wait_until


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(request.param, tmp_path) as database:
        yield database


def agent(name: str, *, gated: bool = False) -> Agent:
    @tool(requires_confirmation=gated)
    def pay() -> str:
        """Pay."""
        return "paid"

    return Agent(id=name, model=ScriptedModel(["done"]), tools=[pay])


def presence(stored: Stored, *agents: Agent) -> Presence:
    registry = Registry()
    for each in agents:
        registry.register(each)
    return Presence(stored.database, registry)


def present(stored: Stored, at: datetime | None = None) -> list[WorkerPolicies]:
    return stored.look(lambda tx: workers.present_workers(tx, at or datetime.now(UTC)))


async def reported(stored: Stored, count: int) -> None:
    await asyncio.to_thread(wait_until, lambda: len(present(stored)) == count)


def test_a_worker_is_listed_until_it_stops(stored: Stored) -> None:
    own = agent("support")

    async def work() -> list[WorkerPolicies]:
        worker = presence(stored, own)
        reporting = asyncio.create_task(worker.run())
        await reported(stored, 1)
        while_working = present(stored)
        reporting.cancel()
        await worker.leave()
        return while_working

    (worker,) = asyncio.run(work())
    assert worker.policies == {"support": policy_of(own).policy.digest}
    # As the attempts of its calls name it.
    assert worker.name == Executions(stored.database).claim("token").worker
    assert present(stored) == []


def test_a_worker_that_was_killed_is_forgotten(stored: Stored) -> None:
    async def be_killed() -> None:
        reporting = asyncio.create_task(presence(stored, agent("support")).run())
        await reported(stored, 1)
        reporting.cancel()

    asyncio.run(be_killed())
    assert len(present(stored)) == 1
    assert present(stored, datetime.now(UTC) + timedelta(minutes=5)) == []


def test_workers_that_declare_different_policies_are_named_with_what_differs(
    stored: Stored,
) -> None:
    async def work() -> None:
        versions = (agent("support"), agent("support", gated=True))
        tasks = [
            asyncio.create_task(presence(stored, version, agent("other")).run())
            for version in versions
        ]
        await reported(stored, 2)
        for task in tasks:
            task.cancel()

    asyncio.run(work())
    (difference,) = stored.look(lambda tx: workers.differing(tx, present(stored)))
    assert difference.component_id == "support"
    assert difference.changes == ["support: pay (gate)"]
