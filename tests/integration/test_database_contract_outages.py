"""How long an outage of a provider is waited for, on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.contracts.messages import TurnOutcome
from kern.contracts.viewer import OPERATOR
from kern.db.reading.run_outputs import run_output
from kern.db.turns.model_outages import Failure, NextTry, wait_or_pause
from kern.errors import InvalidDecision
from kern.run import RunOutput
from kern.values.states import RunStatus, Verdict
from tests.support.stored_runs import NAMES, Stored, after, opened

HOUR = 3600.0


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


def fail(
    stored: Stored, run_id: str, seconds: float, retry_after: float | None = None
) -> NextTry | TurnOutcome:
    failure = Failure("rate_limited", "too many", retry_after)
    return stored.do(
        lambda tx: wait_or_pause(tx, run_id, 1, failure, budget=4 * HOUR, now=after(seconds))
    )


def output(stored: Stored, run_id: str) -> RunOutput:
    return stored.look(lambda tx: run_output(tx, run_id, OPERATOR))


def test_the_pauses_grow_up_to_a_minute(stored: Stored) -> None:
    run_id, _ = stored.accept()
    tries = [fail(stored, run_id, second) for second in range(9)]
    assert [item.seconds for item in tries if isinstance(item, NextTry)] == [
        *(1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        *(60.0, 60.0, 60.0),
    ]
    outage = output(stored, run_id).provider_outage
    assert outage is not None
    assert (outage.attempts, outage.since, outage.next_try_at) == (9, after(0), after(68))


def test_what_the_provider_names_is_waited_for_within_bounds(stored: Stored) -> None:
    run_id, _ = stored.accept()
    short, long = fail(stored, run_id, 0, 7.5), fail(stored, run_id, 10, 1e9)
    last = fail(stored, run_id, 4 * HOUR - 20, HOUR)
    waits = [item.seconds for item in (short, long, last) if isinstance(item, NextTry)]
    assert waits == [7.5, HOUR, 20.0]


def test_a_spent_budget_pauses_the_run_for_a_person(stored: Stored) -> None:
    run_id, _ = stored.accept()
    fail(stored, run_id, 0)
    outcome = fail(stored, run_id, 4 * HOUR)
    assert isinstance(outcome, TurnOutcome)
    paused = output(stored, run_id)
    assert (paused.status, paused.provider_outage) == (RunStatus.paused, None)
    (requirement,) = paused.active_requirements
    assert requirement.arguments["attempts"] == 2
    # An attempt that was repeated finds what was stored.
    assert fail(stored, run_id, 4 * HOUR + 1) == outcome
    with pytest.raises(InvalidDecision, match="cannot be left out"):
        stored.resolve(requirement, Verdict.skip)
    stored.resolve(requirement, Verdict.run_again)
    assert output(stored, run_id).status is RunStatus.running
    stored.answer(run_id, turn=2, content="Back.", at=after(4 * HOUR + 2))
    assert output(stored, run_id).content == "Back."
