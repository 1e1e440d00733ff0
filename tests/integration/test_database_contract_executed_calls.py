"""What was executed is shown to the next run, and to who approves, whatever became of its run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kern.context.history_window import Window
from kern.contracts.answers import NewCall
from kern.contracts.viewer import OPERATOR
from kern.db.reading.history_window import earlier
from kern.db.runs import lifecycle
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.states import Verdict
from tests.support.stored_runs import NAMES, Stored, after, opened, question


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


def paid(stored: Stored, session_id: str, amount: int = 5) -> str:
    """Make a run that has paid, and goes on."""
    run_id, _ = stored.accept(session_id=session_id, input=f"Pay {amount}", on_busy="parallel")
    calls = stored.answer(
        run_id, NewCall("c1", "pay", {"amount": amount}), NewCall("c2", "look", {})
    ).calls
    stored.begin(calls[0].tool_call_id)
    stored.finish(calls[0].tool_call_id, result=f"paid {amount}", at=after(1))
    return run_id


def asked(stored: Stored, session_id: str) -> Requirement:
    run_id, _ = stored.accept(session_id=session_id, input="Again", on_busy="parallel")
    call = NewCall("c1", "pay", {"amount": 5}, question=question())
    stored.answer(run_id, call)
    (requirement,) = stored.output(run_id).active_requirements
    return requirement


def lines(stored: Stored, session_id: str) -> list[str]:
    window = Window(runs=3)
    messages = stored.look(lambda tx: earlier(tx, session_id, 10**6, window))
    return [message.content for message in messages]


def fail(stored: Stored, run_id: str) -> None:
    stored.do(lambda tx: lifecycle.fail(tx, lifecycle.lock(tx, run_id), "gone", "no", after(2)))


def cancel(stored: Stored, run_id: str) -> None:
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, after(2)))


def leave(stored: Stored, run_id: str) -> None:
    """The run is not done yet."""


ENDINGS = [(fail, "failed"), (cancel, "was cancelled"), (leave, "is not done yet")]


@pytest.mark.parametrize(("end", "text"), ENDINGS)
def test_the_next_run_sees_what_was_executed(
    stored: Stored, end: Callable[[Stored, str], None], text: str
) -> None:
    session = new_id()
    end(stored, paid(stored, session))
    (line,) = lines(stored, session)
    assert f'[An earlier request, "Pay 5", {text}.' in line
    assert 'pay(amount=5) with the result "paid 5"' in line
    # It was never executed.
    assert "look" not in line


def test_a_run_that_executed_nothing_is_not_mentioned(stored: Stored) -> None:
    session = new_id()
    run_id, _ = stored.accept(session_id=session, input="Hi")
    fail(stored, run_id)
    assert lines(stored, session) == []


def test_a_call_whose_outcome_is_unknown_is_mentioned(stored: Stored) -> None:
    session = new_id()
    run_id, _ = stored.accept(session_id=session, input="Pay")
    (call,) = stored.answer(run_id, NewCall("c1", "pay", {"amount": 5})).calls
    stored.begin(call.tool_call_id)
    fail(stored, run_id)
    (line,) = lines(stored, session)
    assert "pay(amount=5), whose outcome is unknown" in line


def test_who_approves_sees_what_the_session_has_done_with_the_tool(stored: Stored) -> None:
    session = new_id()
    first = paid(stored, session)
    fail(stored, first)
    paid(stored, new_id(), amount=6)
    (call,) = asked(stored, session).earlier_calls
    assert (call.run_id, call.arguments) == (first, {"amount": 5})
    assert (call.outcome, call.result, call.at) == ("result", "paid 5", after(1))


def test_a_call_that_a_person_refused_to_have_executed_again_may_have_happened(
    stored: Stored,
) -> None:
    session = new_id()
    run_id, _ = stored.accept(session_id=session, input="Pay", on_busy="parallel")
    (call,) = stored.answer(run_id, NewCall("c1", "pay", {"amount": 5})).calls
    stored.begin(call.tool_call_id, "lost")
    # Another attempt finds it begun, and a person is asked.
    stored.begin(call.tool_call_id, "next")
    (unknown,) = stored.output(run_id).active_requirements
    stored.resolve(unknown, Verdict.reject)
    (earlier_call,) = asked(stored, session).earlier_calls
    assert (earlier_call.outcome, earlier_call.result) == ("unknown", None)


def test_only_the_latest_calls_are_shown_to_who_approves(stored: Stored) -> None:
    session = new_id()
    for amount in range(8):
        paid(stored, session, amount)
    shown = [call.arguments["amount"] for call in asked(stored, session).earlier_calls]
    assert shown == [7, 6, 5, 4, 3]
