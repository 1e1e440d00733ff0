"""Workers, the Temporal server and Postgres killed at random moments over many runs."""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crash_checks import (
    check_answers,
    check_decisions,
    check_doubts,
    check_effects,
    check_end,
)
from tests.support.crash_storm import Plan, Storm
from tests.support.crash_world import World
from tests.support.postgres import Postgres

# `make proof` runs the long storms; these say how long, and repeat one that failed.
KILLS = int(os.environ.get("CRASH_KILLS", "1000"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server of its own, so that its deaths hit no other test."""
    server = Postgres()
    yield server
    server.stop()


def rage(world: World, plan: Plan, url: str, folder: Path, postgres: Postgres | None) -> None:
    """Carry out a storm and hold every run of it against the laws."""
    print(f"CRASH_SEED={plan.seed}: {plan}")  # noqa: T201  pytest shows it when the test fails
    world.submit(_rage(world, plan, url, folder, postgres)).result()


async def _rage(
    world: World, plan: Plan, url: str, folder: Path, postgres: Postgres | None
) -> None:
    storm = Storm(world, plan, folder, url, postgres)
    try:
        await storm.rage()
        decided = 0
        for run in storm.runs:
            assert run.last is not None
            check_end(run.last)
            check_effects(run.last)
            check_answers(run.deaths, run.last, spurious=True)
            check_doubts(run.deaths, run.last)
            check_decisions(run.last.rows, run.person.acknowledged)
            decided += len(run.last.rows.decisions)
        assert await storm.check_chain() == decided
        print(f"{len(storm.runs)} runs, {storm.kills} workers killed, {decided} decisions")  # noqa: T201  as above
    finally:
        await asyncio.to_thread(storm.close)


@pytest.mark.timeout(300)
def test_runs_survive_random_deaths(world: World) -> None:
    folder, url = world.fresh("sqlite")
    rage(world, Plan(SEED, runs=6, kills=4), url, folder, None)


@pytest.mark.timeout(300)
def test_runs_survive_random_deaths_of_postgres(world: World, postgres: Postgres) -> None:
    folder, url = world.fresh_on(postgres)
    rage(world, Plan(SEED, runs=6, kills=4, postgres_deaths=1), url, folder, postgres)


@pytest.mark.slow
@pytest.mark.timeout(KILLS * 6 + 600)
def test_runs_survive_thousands_of_deaths(world: World) -> None:
    folder, url = world.fresh("sqlite")
    plan = Plan(SEED, runs=KILLS, kills=KILLS, slots=4, server_deaths=KILLS // 25)
    rage(world, plan, url, folder, None)


@pytest.mark.slow
@pytest.mark.timeout(KILLS * 6 + 600)
def test_runs_survive_thousands_of_deaths_on_postgres(world: World, postgres: Postgres) -> None:
    folder, url = world.fresh_on(postgres)
    plan = Plan(
        SEED,
        runs=KILLS,
        kills=KILLS,
        slots=4,
        server_deaths=KILLS // 50,
        postgres_deaths=KILLS // 25,
    )
    rage(world, plan, url, folder, postgres)
