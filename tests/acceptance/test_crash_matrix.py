"""Every point before and after a write or a side effect, and a death at each of them."""

import re
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.support.crash_case import Case, CaseRun
from tests.support.crash_checks import (
    check_answers,
    check_decisions,
    check_effects,
    check_end,
    check_order,
    check_questions,
    check_summary,
)
from tests.support.crash_play import play_selected
from tests.support.crash_points import (
    AGAIN,
    ANYWHERE,
    CASES,
    CASES_ON_POSTGRES,
    DOUBTFUL,
    LONG,
    POINTS,
)
from tests.support.crash_state import Snapshot

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("kern", "activities", "workflows", "client")
Played = dict[str, Future[tuple[CaseRun, Snapshot]]]


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    yield from play_selected(request, tmp_path_factory.mktemp("crash"), play)


async def play(run: CaseRun, _url: str) -> tuple[CaseRun, Snapshot]:
    return run, await run.play()


def check(run: CaseRun, last: Snapshot) -> None:
    """Hold what is left of a case against the laws."""
    case, deaths = run.case, run.deaths
    check_end(last)
    check_effects(last)
    check_answers(deaths, last)
    check_questions(deaths, last)
    check_decisions(last.rows, run.person.acknowledged)
    if run.followers:
        check_order(last, [one.last for one in run.followers])
    for one in run.others:
        check_end(one.last)
        check_answers(one.deaths, one.last)
    if case.summarises:
        check_summary(deaths, last)
    if not any(kill.point in AGAIN for kill in case.workers):
        counts = [last.asked, *(one.last.asked for one in run.others)]
        assert {times for one in counts for times in one.values()} <= {1}, "asked without need"
    # Where the point alone tells whether the call was in doubt, the database is not believed.
    points = {kill.point for kill in case.workers}
    if case.scenario == "once" and not case.led and len(points) == 1 and not points & ANYWHERE:
        asked = sum(one.kind == "unknown_outcome" for one in last.rows.requirements)
        assert asked == len(points & DOUBTFUL)
    if case.cancel is None:
        refused = case.verdict == "reject" or case.scenario == "late"
        assert {call.outcome for call in last.rows.calls} <= {"rejected" if refused else "result"}
    status = "cancelled" if case.cancel is not None else "completed"
    assert last.rows.run is not None
    assert last.rows.run.status == status


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case in LONG else [])
        for case in CASES
    ],
)
def test_run_survives_a_death(played: Played, case: Case, kind: str) -> None:
    check(*played[f"{kind}-{case.name}"].result(380))


@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize("case", CASES_ON_POSTGRES, ids=[case.name for case in CASES_ON_POSTGRES])
def test_run_survives_a_death_on_postgres(played: Played, case: Case, kind: str) -> None:
    check(*played[f"{kind}-{case.name}"].result(380))


def test_every_point_of_the_code_is_in_the_matrix() -> None:
    texts = [path.read_text() for one in FOLDERS for path in sorted((ROOT / one).rglob("*.py"))]
    in_code = {point for text in texts for point in re.findall(r'\breach\(\s*"([^"]+)"', text)}
    # Those of attempts at calls of tools and at steps.
    found = re.compile(r'\breach\(\s*f"\{\w+\.checkpoint\}\.([^"]+)"')
    shared = {point for text in texts for point in found.findall(text)}
    in_code |= {f"{what}.{point}" for what in ("tool_call", "step") for point in shared}
    stored = re.compile(r'"(step\.(?:before|after)_\w+)"')
    in_code |= {point for text in texts for point in stored.findall(text)}
    # What leaves for webhooks and channels is no part of a run: tests/integration/test_webhooks.py
    assert {point for point in in_code if not point.startswith("outbound.")} == POINTS
