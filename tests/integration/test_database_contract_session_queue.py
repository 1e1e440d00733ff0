"""The database contract: a session's runs go one after another, on every database."""

from collections.abc import Callable

import pytest

from kern.contracts.answers import NewCall, NewChild
from kern.contracts.viewer import OPERATOR
from kern.db.journal import outbox
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.runs import child_runs, lifecycle, session_queue
from kern.db.steps import retry
from kern.errors import SessionBusy
from kern.values.ids import new_id
from kern.values.states import OnBusy, RunStatus, Verdict
from tests.support.stored_runs import NOW, Stored, after, at_once, question


def starts(stored: Stored, run_id: str) -> list[Delivery]:
    found = stored.look(lambda tx: outbox.deliveries_of(tx, run_id))
    return [one for one in found if one.kind is DeliveryKind.start]


def is_queued(stored: Stored, run_id: str) -> bool:
    return stored.output(run_id).is_queued


def pause(stored: Stored, run_id: str) -> None:
    stored.answer(run_id, NewCall("c", "refund", {}, question=question()))
    assert stored.output(run_id).status is RunStatus.paused


def fail(stored: Stored, run_id: str) -> None:
    stored.do(lambda tx: lifecycle.fail(tx, lifecycle.lock(tx, run_id), "code", "why", NOW))


def cancel(stored: Stored, run_id: str) -> None:
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, NOW))


STOPS: list[Callable[[Stored, str], object]] = [
    lambda stored, run_id: stored.answer(run_id, content="Done"),
    pause,
    fail,
    cancel,
]


@pytest.mark.parametrize("stop", STOPS, ids=["completed", "paused", "failed", "cancelled"])
def test_a_run_waits_for_the_one_before_it_and_begins_when_that_stops(
    stored: Stored, stop: Callable[[Stored, str], object]
) -> None:
    session_id = new_id()
    first, delivery = stored.accept(session_id=session_id)
    assert delivery is not None
    second, none = stored.accept(session_id=session_id)
    third, _ = stored.accept(session_id=session_id)
    assert none is None
    assert [is_queued(stored, one) for one in (first, second, third)] == [False, True, True]
    assert starts(stored, second) == []
    stop(stored, first)
    assert [is_queued(stored, one) for one in (second, third)] == [False, True]
    assert len(starts(stored, second)) == 1
    assert stored.events(second) == ["run_accepted", "run_dequeued"]
    stored.answer(second, content="Done")
    assert not is_queued(stored, third)


def test_nobody_waits_behind_a_paused_run(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    pause(stored, first)
    second, delivery = stored.accept(session_id=session_id)
    assert delivery is not None
    assert not is_queued(stored, second)


def test_a_run_that_was_resolved_moves_again_and_is_waited_for(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    pause(stored, first)
    stored.resolve(stored.output(first).requirements[0])
    second, delivery = stored.accept(session_id=session_id)
    assert delivery is None
    assert is_queued(stored, second)


def test_two_that_move_at_once_are_both_waited_for(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    second, delivery = stored.accept(session_id=session_id, on_busy=OnBusy.parallel)
    assert delivery is not None
    third, _ = stored.accept(session_id=session_id)
    stored.answer(second, content="Done")
    assert is_queued(stored, third)
    stored.answer(first, content="Done")
    assert not is_queued(stored, third)


def test_a_busy_session_may_be_refused_and_nothing_is_kept(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    with pytest.raises(SessionBusy, match=first):
        stored.accept(session_id=session_id, on_busy=OnBusy.reject)
    stored.answer(first, content="Done")
    second, delivery = stored.accept(session_id=session_id, on_busy=OnBusy.reject)
    assert delivery is not None
    assert stored.output(second).number == 2


def test_the_same_run_again_while_it_is_queued_stays_queued(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id)
    second, _ = stored.accept(session_id=session_id)
    assert stored.accept(run_id=second, session_id=session_id) == (second, None)
    assert is_queued(stored, second)


def test_a_queued_run_that_is_cancelled_is_passed_over(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    second, _ = stored.accept(session_id=session_id)
    third, _ = stored.accept(session_id=session_id)
    cancel(stored, second)
    assert is_queued(stored, third)
    stored.answer(first, content="Done")
    assert not is_queued(stored, third)
    assert stored.output(second).status is RunStatus.cancelled
    assert starts(stored, second) == []


def test_another_session_is_not_waited_for(stored: Stored) -> None:
    stored.accept(session_id=new_id())
    _, delivery = stored.accept(session_id=new_id())
    assert delivery is not None


def test_a_rejection_that_ends_a_run_lets_the_next_begin(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    pause(stored, first)
    stored.resolve(stored.output(first).requirements[0], Verdict.reject)
    second, _ = stored.accept(session_id=session_id)
    assert is_queued(stored, second)
    stored.answer(first, turn=2, content="Then not.")
    assert not is_queued(stored, second)


def test_runs_that_end_and_come_at_once_leave_none_behind(stored: Stored) -> None:
    session_id = new_id()
    begun, _ = stored.accept(session_id=session_id)
    work: list[Callable[[], object]] = [lambda: stored.answer(begun, content="Done")]
    work += [lambda: stored.accept(session_id=session_id) for _ in range(5)]
    found = at_once(work)
    ids = [one[0] for one in found[1:] if isinstance(one, tuple)]
    assert len(ids) == 5, found
    for _round in ids:
        free = [one for one in ids if not is_queued(stored, one)]
        moving = [one for one in free if not stored.output(one).status.is_final]
        assert len(moving) == 1, "one goes on, and only one"
        stored.answer(moving[0], content="Done")
    numbers = {one: stored.output(one) for one in ids}
    ended = sorted(ids, key=lambda one: numbers[one].number)
    assert all(numbers[one].status is RunStatus.completed for one in ended)


def test_what_was_left_behind_is_found(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    second, _ = stored.accept(session_id=session_id)
    stored.sql("UPDATE kern_runs SET status = 'completed' WHERE id = :id", id=first)
    assert session_id in stored.look(lambda tx: session_queue.stuck_sessions(tx, after(60)))
    assert session_id not in stored.look(lambda tx: session_queue.stuck_sessions(tx, NOW))
    stored.do(lambda tx: session_queue.start_next_run(tx, session_id, "", NOW))
    assert not is_queued(stored, second)
    assert len(starts(stored, second)) == 1


def finish(stored: Stored, run_id: str) -> None:
    stored.answer(run_id, content="Done")


def ahead_of(stored: Stored, run_id: str) -> str | None:
    return stored.look(lambda tx: session_queue.run_ahead(tx, run_id))


@pytest.mark.parametrize("on_busy", [OnBusy.queue, OnBusy.reject])
def test_a_run_never_waits_behind_the_run_whose_code_starts_it(
    stored: Stored, on_busy: OnBusy
) -> None:
    session_id = new_id()
    caller, _ = stored.accept(session_id=session_id)
    behind, _ = stored.accept(session_id=session_id)
    callee, delivery = stored.accept(session_id=session_id, caller=caller, on_busy=on_busy)
    assert delivery is not None
    assert not is_queued(stored, callee)
    assert ahead_of(stored, behind) == caller
    finish(stored, callee)
    assert is_queued(stored, behind)
    finish(stored, caller)
    assert not is_queued(stored, behind)
    assert ahead_of(stored, behind) is None


def test_a_run_never_waits_behind_a_caller_of_its_caller(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    between, _ = stored.accept(session_id=new_id(), caller=first)
    last, delivery = stored.accept(session_id=session_id, caller=between)
    assert delivery is not None
    assert not is_queued(stored, last)


def test_what_a_child_run_starts_never_waits_behind_the_run_at_the_root(stored: Stored) -> None:
    root, _ = stored.accept(session_id=new_id())
    session_id = stored.output(root).session_id
    child = NewChild("member", "agent", "member", "Hi")
    child_id = stored.do(
        lambda tx: child_runs.accept_child(tx, lifecycle.lock(tx, root), child, NOW)
    )
    callee, _ = stored.accept(session_id=session_id, caller=child_id)
    assert not is_queued(stored, callee)


def test_a_callee_waits_behind_other_runs_and_begins_when_they_stop(stored: Stored) -> None:
    session_id = new_id()
    caller, _ = stored.accept(session_id=session_id)
    ids = [stored.accept(session_id=session_id, caller=caller)[0] for _ in range(3)]
    assert [is_queued(stored, run_id) for run_id in ids] == [False, True, True]
    assert ahead_of(stored, ids[1]) == ids[0]
    finish(stored, ids[0])
    assert [is_queued(stored, run_id) for run_id in ids[1:]] == [False, True]
    assert len(starts(stored, ids[1])) == 1
    finish(stored, ids[1])
    assert not is_queued(stored, ids[2])


def test_two_runs_whose_code_starts_runs_never_wait_for_each_other(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    second, _ = stored.accept(session_id=session_id, on_busy=OnBusy.parallel)
    of_first, _ = stored.accept(session_id=session_id, caller=first)
    of_second, _ = stored.accept(session_id=session_id, caller=second)
    assert [is_queued(stored, run_id) for run_id in (of_first, of_second)] == [True, False]
    finish(stored, of_second)
    assert is_queued(stored, of_first)
    finish(stored, second)
    assert not is_queued(stored, of_first)


def test_runs_never_wait_for_each_other_across_sessions(stored: Stored) -> None:
    one, other = new_id(), new_id()
    first, _ = stored.accept(session_id=one)
    second, _ = stored.accept(session_id=other)
    of_first, _ = stored.accept(session_id=other, caller=first)
    assert ahead_of(stored, of_first) == second
    of_second, _ = stored.accept(session_id=one, caller=second)
    assert not is_queued(stored, of_second)


def test_a_run_that_is_retried_by_the_code_of_another_does_not_wait_behind_it(
    stored: Stored,
) -> None:
    session_id = new_id()
    failed, _ = stored.accept(session_id=session_id)
    fail(stored, failed)
    caller, _ = stored.accept(session_id=session_id)
    stored.do(lambda tx: retry.retry(tx, failed, OPERATOR, NOW, caller=caller))
    assert not is_queued(stored, failed)
    assert stored.output(failed).status is not RunStatus.error


def test_a_caller_that_is_not_in_this_database_changes_nothing(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id)
    second, _ = stored.accept(session_id=session_id, caller=new_id())
    assert is_queued(stored, second)
