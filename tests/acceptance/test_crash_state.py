"""Fifty runs that change one session's state while their workers are killed: nothing is lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest
from pydantic import JsonValue

from kern.client.processes.services import Services
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.store import Store
from kern.db.engine.stores import store_from_url
from kern.db.reading import run_outputs
from kern.values.ids import new_id
from kern.values.states import OnBusy
from tests.support.crash_app import build, read, user_text
from tests.support.crash_processes import Child
from tests.support.crash_spec import Kill, Place, Spec, settings_of
from tests.support.crash_world import World
from tests.support.raw_sql import execute_sql

RUNS = 50
# Just before and just after what is stored, where a loss or a repetition would come from.
KILLS = [
    Kill(point="tool_call.before_store", occurrence=8),
    Kill(point="tool_call.after_store", occurrence=8),
    Kill(point="write.before_commit", occurrence=40),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_fifty_runs_lose_nothing_of_the_state_when_workers_are_killed(
    world: World, kind: str
) -> None:
    folder, url = world.fresh(kind)
    place = Place(
        component=f"state-{new_id()}",
        database_url=url,
        home=str(folder),
        address=world.server.address,
        model_url=world.models.base_url,
        ledger=str(folder / "ledger"),
    )
    db = store_from_url(url)
    try:
        ids, state = world.submit(_play(world, place, db)).result()
    finally:
        db.close()
    log = state.pop("log")
    assert isinstance(log, list)
    assert sorted(log, key=str) == sorted(ids)
    assert state.pop("count") == RUNS
    assert set(state) == set(ids)
    assert len(read(Path(place.ledger))) > RUNS, "no call was cut off by a death"


async def _play(world: World, place: Place, db: Store) -> tuple[list[str], dict[str, JsonValue]]:
    services = Services(settings_of(place), db, world.temporal, None)
    ids, session = [new_id() for _ in range(RUNS)], new_id()
    try:
        for run_id in ids:
            request = RunRequest(
                component_id=place.component,
                input=user_text(run_id, "remember"),
                run_id=run_id,
                session_id=session,
                on_busy=OnBusy.parallel,
            )
            await services.service.runs.accept(Viewer(None), build(place), request)
        for number, kill in enumerate(KILLS):
            assert await _worker(world, place, number, kill).ended() == -SIGKILL
        survivor = _worker(world, place, len(KILLS), None)
        try:
            await _all_completed(db)
        finally:
            await survivor.kill()
        output = await db.read(lambda tx: run_outputs.run_output(tx, ids[0], OPERATOR))
        return ids, output.session_state
    finally:
        await services.courier.close()


def _worker(world: World, place: Place, number: int, kill: Kill | None) -> Child:
    log = str(Path(place.home) / f"worker-{number}.log")
    return world.fork(Spec(role="worker", place=place, log=log, kill=kill))


async def _all_completed(db: Store) -> None:
    query = "SELECT count(*) FROM kern_runs WHERE status = 'completed'"
    while await db.read(lambda tx: execute_sql(tx, query).scalar()) != RUNS:  # noqa: ASYNC110  other processes set no event
        await asyncio.sleep(0.1)
