"""A pipeline of a function, an agent with a gated tool and another function; a death anywhere."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from sqlmodel import Session, col, select

from kern.db.engine.step_tables import StepRow
from kern.db.engine.stores import store_from_url
from kern.db.engine.tables import DecisionRow
from tests.support.crash_app import read
from tests.support.crash_case import Case, CaseRun
from tests.support.crash_checks import check_answers, check_effects, check_end, check_questions
from tests.support.crash_play import play_selected
from tests.support.crash_points import AGAIN, PIPED, PIPED_LONG, PIPED_ON_POSTGRES
from tests.support.crash_spec import Line
from tests.support.crash_state import Snapshot

pytestmark = pytest.mark.timeout(400)

Played = dict[str, Future[tuple[CaseRun, Snapshot, list[StepRow]]]]


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    yield from play_selected(request, tmp_path_factory.mktemp("crash"), play)


async def play(run: CaseRun, url: str) -> tuple[CaseRun, Snapshot, list[StepRow]]:
    last = await run.play()
    return run, last, await asyncio.to_thread(steps_of, url, run.id)


def steps_of(url: str, run_id: str) -> list[StepRow]:
    def found(tx: Session) -> list[StepRow]:
        query = select(StepRow).where(StepRow.run_id == run_id)
        return list(tx.exec(query.order_by(col(StepRow.number))))

    db = store_from_url(url)
    try:
        return db.read_now(found)
    finally:
        db.close()


def check(run: CaseRun, last: Snapshot, steps: list[StepRow]) -> None:
    """Hold what is left of a case against the laws."""
    (outer,) = run.leaders
    check_outer(run, outer.last, steps)
    if last.rows.run is None:
        return
    check_end(last)
    check_effects(last)
    check_answers(run.deaths, last)
    check_questions(run.deaths, last)
    if not any(kill.point in AGAIN for kill in run.case.workers):
        assert set(last.asked.values()) <= {1}, "asked without need"


def check_outer(run: CaseRun, last: Snapshot, steps: list[StepRow]) -> None:
    rows, case = last.rows, run.case
    assert rows.run is not None
    assert not rows.outbox
    assert not [one for one in rows.requirements if one.status == "pending"]
    assert [event.seq for event in rows.events] == list(range(1, len(rows.events) + 1))
    ended = Counter(event.data["step"] for event in rows.events if event.kind == "step_completed")
    assert set(ended.values()) <= {1}, "a step ended twice"
    ran = Counter(line.tool for line in read_lines(run) if line.order_id == "")
    assert ran["prepare"] <= 1, "what may not be repeated was repeated"
    died = len(case.workers)
    assert ran["finish"] <= 2 + died
    if case.cancel is not None:
        assert rows.run.status == "cancelled"
        return
    assert rows.run.status == "completed", rows.run.error_message
    assert rows.run.content == "Done."
    assert ran["prepare"] == 1
    assert ran["finish"] >= 1
    assert {step.outcome for step in steps} == {"completed"}
    names = [step.name for step in steps[1:]]
    assert names == ["prepare", "condition", "then", names[3], "finish"]
    assert (rows.run.steps_done, rows.run.steps_known) == (3, 3)
    kept = {(one.requirement_id, one.verdict, one.actor) for one in rows.decisions}
    kept |= {(one.requirement_id, one.verdict, one.actor) for one in child_decisions(run)}
    assert set(run.person.acknowledged) <= kept, "a decision was lost"


def read_lines(run: CaseRun) -> list[Line]:
    return read(Path(run.place.ledger))


def child_decisions(run: CaseRun) -> list[DecisionRow]:
    db = store_from_url(run.place.database_url)
    try:
        return db.read_now(lambda tx: list(tx.exec(select(DecisionRow))))
    finally:
        db.close()


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case in PIPED_LONG else [])
        for case in PIPED
    ],
)
def test_pipeline_survives_a_death(played: Played, case: Case, kind: str) -> None:
    check(*played[f"{kind}-{case.name}"].result(380))


@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize("case", PIPED_ON_POSTGRES, ids=[case.name for case in PIPED_ON_POSTGRES])
def test_pipeline_survives_a_death_on_postgres(played: Played, case: Case, kind: str) -> None:
    check(*played[f"{kind}-{case.name}"].result(380))
