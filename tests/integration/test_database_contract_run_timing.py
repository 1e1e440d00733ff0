"""The database contract: a run's time is split in working and waiting for people."""

from kern.contracts.answers import NewCall
from kern.values.states import RunStatus, Verdict
from tests.support.stored_runs import Stored, after, question


def spent(stored: Stored, run_id: str) -> tuple[float, float]:
    metrics = stored.output(run_id).metrics
    return metrics.working_seconds, metrics.waiting_seconds


def test_before_it_begins_a_run_has_spent_nothing(stored: Stored) -> None:
    run_id, _ = stored.accept()
    assert spent(stored, run_id) == (0.0, 0.0)


def test_work_and_waiting_are_told_apart(stored: Stored) -> None:
    run_id, _ = stored.accept()
    gated = NewCall("c1", "refund", {}, question=question())
    outcome = stored.answer(run_id, gated, at=after(10), began=after(7))
    working, waiting = spent(stored, run_id)
    assert working == 3.0
    assert waiting > 0, "it waits until now"
    stored.resolve(stored.output(run_id).requirements[0], at=after(110))
    stored.begin(outcome.calls[0].tool_call_id, at=after(111))
    stored.finish(outcome.calls[0].tool_call_id, at=after(115))
    stored.answer(run_id, turn=2, content="Done", at=after(120))
    assert stored.output(run_id).status is RunStatus.completed
    assert spent(stored, run_id) == (13.0, 100.0)


def test_a_run_that_ends_while_it_waits_has_waited_until_then(stored: Stored) -> None:
    run_id, _ = stored.accept()
    stored.answer(run_id, NewCall("c1", "refund", {}, question=question()), began=after(-1))
    seen = stored.output(run_id).requirements[0]
    stored.resolve(seen, Verdict.reject, at=after(5))
    assert stored.answer(run_id, turn=2, content="Then not", at=after(6)).ended
    assert spent(stored, run_id) == (2.0, 5.0)


def test_clocks_that_differ_take_nothing_back(stored: Stored) -> None:
    run_id, _ = stored.accept()
    stored.answer(run_id, content="Done", at=after(-5), began=after(0))
    assert spent(stored, run_id) == (0.0, 0.0)
