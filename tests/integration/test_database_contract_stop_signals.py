"""The database contract: whoever waits hears of a stop once it is committed, and only then."""

import asyncio
from collections.abc import Callable

import pytest
from sqlmodel import Session

from kern.contracts.answers import NewCall
from kern.contracts.viewer import OPERATOR
from kern.db.runs import lifecycle
from kern.db.sessions import deletions
from kern.values.ids import new_id
from tests.support.stored_runs import NOW, Stored, question

# What brings a run with one ungated call, and nothing before it, to stand still.
STOPS: dict[str, Callable[[Stored, str], object]] = {
    "it answers": lambda stored, run_id: stored.answer(run_id, content="Done."),
    "it asks": lambda stored, run_id: stored.answer(
        run_id, NewCall("1", "refund", question=question())
    ),
    "it fails": lambda stored, run_id: stored.do(
        lambda tx: lifecycle.fail(tx, lifecycle.lock(tx, run_id), "code", "It broke.", NOW)
    ),
    "it is cancelled": lambda stored, run_id: stored.do(
        lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, NOW)
    ),
}


async def _is_told(stored: Stored, run_id: str, act: Callable[[], object]) -> bool:
    with stored.database.stops.watch(run_id) as watch:
        await asyncio.to_thread(act)
        try:
            await asyncio.wait_for(watch.wait(), 0.05)
        except TimeoutError:
            return False
        return True


@pytest.mark.parametrize("stop", STOPS)
async def test_a_stop_is_told_to_who_waits_for_the_run(stored: Stored, stop: str) -> None:
    run_id, _ = stored.accept()
    other, _ = stored.accept()
    assert await _is_told(stored, run_id, lambda: STOPS[stop](stored, run_id))
    with stored.database.stops.watch(run_id) as watch:
        STOPS["it answers"](stored, other)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.wait(), 0.05)


async def test_what_does_not_stop_a_run_is_not_told(stored: Stored) -> None:
    run_id = new_id()
    assert not await _is_told(stored, run_id, lambda: stored.accept(run_id=run_id))
    assert not await _is_told(stored, run_id, lambda: stored.answer(run_id, NewCall("1", "refund")))


async def test_a_stop_that_is_rolled_back_is_not_told(stored: Stored) -> None:
    run_id, _ = stored.accept()

    def fail_to_cancel(tx: Session) -> None:
        lifecycle.cancel(tx, run_id, OPERATOR, NOW)
        raise RuntimeError

    def act() -> None:
        with pytest.raises(RuntimeError):
            stored.do(fail_to_cancel)

    assert not await _is_told(stored, run_id, act)


async def test_the_deletion_of_a_run_is_told(stored: Stored) -> None:
    session_id = new_id()
    run_id, _ = stored.accept(session_id=session_id)
    assert await _is_told(
        stored,
        run_id,
        lambda: stored.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, NOW)),
    )
