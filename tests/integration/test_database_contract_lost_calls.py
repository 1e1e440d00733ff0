"""The database contract: what a run that ended early left executing is known to be unknown."""

from datetime import timedelta

import pytest

from kern.contracts.viewer import OPERATOR
from kern.db.runs import lifecycle
from kern.db.turns import calls, leases
from kern.db.turns.attempts import Claim, Storing
from kern.db.turns.lost_calls import note_lost_calls, runs_with_lost_calls
from kern.values.states import ToolCallStatus
from tests.support.stored_runs import NOW, Stored, after


@pytest.fixture
def call_id(stored: Stored) -> str:
    """A call that was executing when its run was cancelled."""
    call_id = stored.call(effect="once", user_id="ann")
    claim = Claim("mine", lease=timedelta(seconds=9))
    stored.do(lambda tx: calls.begin(tx, call_id, claim, after(0)))
    stored.do(lambda tx: calls.may_begin(tx, call_id, "mine", after(0), claim.lease))
    run_id = stored.run_of(call_id)
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, after(1)))
    return call_id


def is_lost(stored: Stored, run_id: str, seconds: float) -> bool:
    return run_id in stored.look(lambda tx: runs_with_lost_calls(tx, NOW, after(seconds)))


def test_a_call_whose_lease_is_over_may_have_happened(stored: Stored, call_id: str) -> None:
    run_id = stored.run_of(call_id)
    assert not is_lost(stored, run_id, 8)
    assert is_lost(stored, run_id, 10)
    for _ in range(2):
        stored.do(lambda tx: note_lost_calls(tx, run_id, after(10)))
    assert stored.execution(call_id).status is ToolCallStatus.unknown
    assert stored.events(run_id).count("tool_call_lost") == 1
    assert not is_lost(stored, run_id, 11)


def test_one_that_is_alive_is_left_alone(stored: Stored, call_id: str) -> None:
    stored.do(lambda tx: leases.beat(tx, ["mine"], after(8), timedelta(seconds=9)))
    assert not is_lost(stored, stored.run_of(call_id), 10)
    stored.do(lambda tx: note_lost_calls(tx, stored.run_of(call_id), after(10)))
    assert stored.execution(call_id).status is ToolCallStatus.running


def test_a_result_that_comes_after_all_is_kept(stored: Stored, call_id: str) -> None:
    stored.do(lambda tx: note_lost_calls(tx, stored.run_of(call_id), after(10)))
    assert stored.finish(call_id, "mine", result="paid", at=after(11)) is Storing.stored
    call = stored.execution(call_id)
    assert (call.status, call.result) == (ToolCallStatus.done, "paid")


def test_a_run_that_goes_on_asks_about_its_calls_itself(stored: Stored) -> None:
    active = stored.call(effect="once", user_id="ann")
    stored.begin(active)
    assert not is_lost(stored, stored.run_of(active), 100)
    stored.do(lambda tx: note_lost_calls(tx, stored.run_of(active), after(100)))
    assert stored.execution(active).status is ToolCallStatus.running
