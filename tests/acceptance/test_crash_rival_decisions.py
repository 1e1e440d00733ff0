"""Two people who decide at once, one for and one against: the first wins, the other is told who."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
from pydantic import JsonValue

from kern.contracts.answers import Answer, NewCall, Question
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.journal import verification
from kern.db.runs import accepting
from kern.db.turns import model_turns
from kern.errors import AlreadyResolved
from kern.models.base import ModelResponse
from kern.requirements import DecisionDraft
from kern.values.canonical import arguments_digest
from kern.values.ids import new_id
from kern.values.states import RequirementKind, Verdict
from tests.support.crash_case import Case, CaseRun
from tests.support.crash_checks import check_decisions, check_effects, check_end
from tests.support.crash_state import Snapshot, rows_of
from tests.support.crash_world import World
from tests.support.postgres import fresh_database

TIMES = 100
SIDES = {"ann": Verdict.approve, "bob": Verdict.reject}
ARGUMENTS: dict[str, JsonValue] = {"order_id": "1"}


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Each call makes another engine on the same database, as another process would."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "kern.db")
    url = fresh_database()
    return lambda: PostgresStore(url)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("duel")) as world:
        yield world


def paused_run(db: Store) -> tuple[str, str]:
    """Store a run that waits for a confirmation; return its id and the requirement's."""
    now, run_id = datetime.now(UTC), new_id()
    request = RunRequest(component_id="agent", input="refund", run_id=run_id)
    call = NewCall("call_1", "refund", ARGUMENTS, question=Question(RequirementKind.confirmation))
    db.write_now(
        lambda tx: accepting.accept(
            tx,
            request,
            component_kind="agent",
            initial_state={},
            now=now,
            run_id=run_id,
            session_id=new_id(),
        )
    )
    answer = Answer(ModelResponse(content="", provider="none"), [call])
    outcome = db.write_now(lambda tx: model_turns.store(tx, run_id, 1, answer, now))
    gate = outcome.calls[0].gate
    assert gate is not None
    return run_id, gate.requirement_id


def decide(db: Store, requirement_id: str, by: str, start: Barrier) -> str | None:
    """Decide when the other does; return what the loser is told."""
    digest = arguments_digest("refund", ARGUMENTS)
    submission = Submission(requirement_id, digest, DecisionDraft(verdict=SIDES[by]), by)
    now = datetime.now(UTC)
    start.wait()
    try:
        db.write_now(lambda tx: deciding.resolve(tx, submission, OPERATOR, now))
    except AlreadyResolved as error:
        return str(error)
    return None


def test_first_of_two_deciders_wins_and_the_other_is_told(connect: Callable[[], Store]) -> None:
    sides = {by: connect() for by in SIDES}
    sides["ann"].migrate()
    start = Barrier(len(SIDES))
    wins = dict.fromkeys(SIDES, 0)
    with ThreadPoolExecutor(len(SIDES)) as threads:
        for _ in range(TIMES):
            run_id, requirement_id = paused_run(sides["ann"])
            told = {
                by: threads.submit(decide, db, requirement_id, by, start)
                for by, db in sides.items()
            }
            answers = {by: future.result(60) for by, future in told.items()}
            (winner,) = [by for by, answer in answers.items() if answer is None]
            (loss,) = [answer for answer in answers.values() if answer is not None]
            assert repr(winner) in loss
            assert repr(SIDES[winner].value) in loss
            rows = sides["bob"].write_now(partial(rows_of, run_id=run_id))
            check_decisions(rows, [(requirement_id, SIDES[winner].value, winner)])
            rejected = rows.calls[0].outcome == "rejected"
            assert rejected == (winner == "bob")
            wins[winner] += 1
    assert sides["bob"].read_now(verification.verify).decisions == sum(wins.values()) == TIMES
    for db in sides.values():
        db.close()


class Duel(CaseRun):
    """A run about which two processes decide at once."""

    winner = ""

    async def decide(self, row: RequirementRow) -> None:
        """Have both decide, each in a process of its own."""
        spec = self.spec("resolve", None, row.id)
        children = {
            by: self.world.fork(
                spec.model_copy(
                    update={
                        "by": by,
                        "verdict": verdict.value,
                        "log": str(self.folder / f"{by}.log"),
                    }
                )
            )
            for by, verdict in SIDES.items()
        }
        codes = {by: await child.ended() for by, child in children.items()}
        assert sorted(codes.values()) == [0, 1], [child.story for child in children.values()]
        self.winner = min(codes, key=lambda by: codes[by])
        loser = children[max(codes, key=lambda by: codes[by])]
        assert f"AlreadyResolved: Requirement {row.id!r}" in loser.story
        assert f"{self.winner!r} decided" in loser.story
        self.person.acknowledged.append((row.id, SIDES[self.winner].value, self.winner))


async def play(world: World, kind: str) -> tuple[Duel, Snapshot]:
    async with world.limit:
        folder, url = await asyncio.to_thread(world.fresh, kind)
        duel = Duel(world, Case("once"), folder, url)
        return duel, await duel.play()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_tool_runs_once_or_never_as_the_winner_said(world: World, kind: str) -> None:
    for playing in [world.submit(play(world, kind)) for _ in range(5)]:
        duel, last = playing.result(190)
        check_end(last)
        check_effects(last)
        check_decisions(last.rows, duel.person.acknowledged)
        assert len(last.lines) == (1 if duel.winner == "ann" else 0)
