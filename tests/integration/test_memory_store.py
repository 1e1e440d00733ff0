"""What can differ in memory, where all threads share one connection.

Its statements are SQLite's, and the database contract runs on that. What is left is how
transactions begin, end and wait for each other.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from kern.contracts.answers import NewCall
from kern.contracts.viewer import OPERATOR
from kern.db.decisions.deciding import Accepted
from kern.db.engine.stores import MemoryStore
from kern.db.engine.tables import RunRow, SessionRow
from kern.db.journal import outbox, verification
from kern.db.journal.outbox import Delivery
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import revision_of
from kern.db.runs import lifecycle
from kern.db.turns.attempts import Execution
from kern.errors import AlreadyResolved, DatabaseFailure, InvalidInput, NotFound
from kern.session_state import StateChange
from kern.values.ids import new_id
from kern.values.states import RequirementKind, RequirementStatus, RunStatus, Verdict
from tests.support.stored_runs import NOW, Stored, after, at_once, question
from tests.support.templates import memory_with_tables

MOMENT = 0.05


@pytest.fixture
def memory() -> Iterator[MemoryStore]:
    with closing(memory_with_tables()) as store:
        yield store


@pytest.fixture
def stored(memory: MemoryStore) -> Stored:
    return Stored(memory)


def numbers(tx: Session) -> list[int]:
    return list(tx.exec(select(RunRow.number)))


def test_a_run_goes_from_its_acceptance_to_its_answer() -> None:
    with closing(MemoryStore()) as memory:
        memory.migrate()
        memory.migrate()
        assert revision_of(memory) == HEAD
        stored = Stored(memory)
        seen = stored.gated()
        assert seen.tool_call_id is not None
        assert stored.output(seen.run_id).status is RunStatus.paused
        stored.resolve(seen, at=after(1))
        assert isinstance(stored.begin(seen.tool_call_id, at=after(2)), Execution)
        stored.finish(seen.tool_call_id, result="paid", at=after(3))
        stored.answer(seen.run_id, turn=2, content="Paid.", at=after(4))
        output = stored.output(seen.run_id)
        assert (output.status, output.content) == (RunStatus.completed, "Paid.")
        assert (output.created_at, output.finished_at) == (NOW, after(4))
        assert stored.events(seen.run_id)[-1] == "run_completed"
        assert stored.look(verification.verify).decisions == 1


def test_two_memories_are_two_databases(memory: MemoryStore, stored: Stored) -> None:
    run_id, _ = stored.accept()
    with closing(memory_with_tables()) as other:
        assert memory.is_same(memory)
        assert not memory.is_same(other)
        assert memory.name != other.name
        with pytest.raises(NotFound):
            Stored(other).output(run_id)
        Stored(other).accept(run_id=run_id)


def test_what_is_closed_is_gone_and_threads_go_with_it() -> None:
    memory = memory_with_tables()
    Stored(memory).accept()
    asyncio.run(memory.read(numbers))
    memory.close()
    memory.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("kern-db")]
    with closing(memory_with_tables()) as other:
        assert other.read_now(numbers) == []


def test_a_transaction_that_fails_changes_nothing_and_the_next_one_works(stored: Stored) -> None:
    run_id, _ = stored.accept()

    def fail(tx: Session) -> None:
        lifecycle.complete(tx, lifecycle.lock(tx, run_id), "answer", NOW)
        tx.flush()
        raise KeyError(run_id)

    for _ in range(2):
        with pytest.raises(KeyError):
            stored.do(fail)
        assert stored.output(run_id).status is RunStatus.pending
        assert stored.events(run_id) == ["run_accepted"]
    assert stored.answer(run_id, content="Done.").ended


def test_a_read_that_fails_leaves_the_connection_to_the_next(stored: Stored) -> None:
    def fail(tx: Session) -> None:
        numbers(tx)
        raise KeyError

    with pytest.raises(KeyError):
        stored.look(fail)
    run_id, _ = stored.accept()
    assert stored.output(run_id).number == 1


def test_a_reference_to_nothing_is_refused(stored: Stored) -> None:
    run_id, _ = stored.accept()
    with pytest.raises(DatabaseFailure, match="FOREIGN KEY"):
        stored.sql("UPDATE kern_runs SET session_id = 'nowhere' WHERE id = :id", id=run_id)


def test_a_value_that_cannot_be_stored_leaves_nothing(stored: Stored) -> None:
    with pytest.raises(InvalidInput):
        stored.accept(run_id="lone \ud800 surrogate")
    assert stored.look(numbers) == []


def test_what_one_thread_writes_every_thread_reads(stored: Stored) -> None:
    with ThreadPoolExecutor(1) as other:
        run_id, _ = other.submit(stored.accept).result()
        assert stored.output(run_id).number == 1
        stored.answer(run_id, content="Done.")
        assert other.submit(stored.output, run_id).result().content == "Done."


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_reader_waits_for_a_writer_and_sees_what_it_committed(
    stored: Stored, *, is_kept: bool
) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id)
    has_written, may_end = threading.Event(), threading.Event()

    def rename(tx: Session) -> None:
        tx.get_one(SessionRow, session_id).name = "Refunds"
        tx.flush()
        has_written.set()
        assert may_end.wait(30)
        if not is_kept:
            raise KeyError

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(stored.do, rename)
        assert has_written.wait(30)
        reading = threads.submit(stored.look, lambda tx: tx.get_one(SessionRow, session_id).name)
        with pytest.raises(TimeoutError):
            reading.result(MOMENT)
        may_end.set()
        assert reading.result(30) == ("Refunds" if is_kept else None)
        assert (writing.exception(30) is None) is is_kept


def test_a_writer_waits_for_a_reader_who_sees_one_state(stored: Stored) -> None:
    stored.accept()
    has_read, may_read_on = threading.Event(), threading.Event()

    def read_twice(tx: Session) -> tuple[list[int], list[int]]:
        before = numbers(tx)
        has_read.set()
        assert may_read_on.wait(30)
        return before, numbers(tx)

    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(stored.look, read_twice)
        assert has_read.wait(30)
        writing = threads.submit(stored.accept)
        with pytest.raises(TimeoutError):
            writing.result(MOMENT)
        may_read_on.set()
        assert reading.result(30) == ([1], [1])
        writing.result(30)
    assert stored.look(numbers) == [1, 1]


def test_a_session_begun_by_eight_at_once_numbers_its_runs(stored: Stored) -> None:
    session_id = new_id()
    accepted = at_once([lambda: stored.accept(session_id=session_id) for _ in range(8)])
    assert not [outcome for outcome in accepted if isinstance(outcome, Exception)]
    assert sorted(stored.look(numbers)) == list(range(1, 9))


def test_one_run_asked_for_by_eight_at_once_is_one_run(stored: Stored) -> None:
    run_id, session_id = new_id(), new_id()
    accepted = at_once(
        [lambda: stored.accept(run_id=run_id, session_id=session_id) for _ in range(8)]
    )
    started = [run for run in accepted if isinstance(run, tuple) and run[1] is not None]
    assert len(started) == 1, accepted
    assert stored.events(run_id) == ["run_accepted"]


def test_of_eight_attempts_at_a_call_one_executes_it(stored: Stored) -> None:
    call_id = stored.call()
    attempts = at_once([lambda n=n: stored.begin(call_id, f"t{n}") for n in range(8)])  # type: ignore[misc]
    assert not [outcome for outcome in attempts if isinstance(outcome, Exception)]
    assert len([outcome for outcome in attempts if isinstance(outcome, Execution)]) == 1
    (doubt,) = stored.output(stored.run_of(call_id)).requirements
    assert doubt.kind is RequirementKind.unknown_outcome


def test_of_eight_decisions_at_once_the_first_wins(stored: Stored) -> None:
    seen = stored.gated()
    decide = [Verdict.approve, Verdict.reject] * 4
    outcomes = at_once(
        [lambda v=v, n=n: stored.resolve(seen, v, by=f"p{n}") for n, v in enumerate(decide)]  # type: ignore[misc]
    )
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert winner.requirement.status is RequirementStatus.resolved
    assert len([lost for lost in outcomes if isinstance(lost, AlreadyResolved)]) == 7, outcomes
    assert stored.look(verification.verify).decisions == 1


def test_eight_changes_of_a_sessions_state_at_once_lose_nothing(stored: Stored) -> None:
    session_id = new_id()
    calls = [stored.call(session_id=session_id, on_busy="parallel") for _ in range(8)]
    for call_id in calls:
        stored.begin(call_id)
    increment = StateChange(op="increment", key="paid", value=1)
    done = at_once([lambda c=c: stored.finish(c, "attempt", increment) for c in calls])  # type: ignore[misc]
    assert not [outcome for outcome in done if isinstance(outcome, Exception)]
    state = stored.output(stored.run_of(calls[0])).session_state
    assert state == {"paid": 8}


def test_two_relays_never_take_the_same_delivery(stored: Stored) -> None:
    accepted = {stored.accept()[0] for _ in range(12)}

    def claim(number: int) -> list[Delivery]:
        # A claim is known by its moment: no two relays have the same.
        return stored.do(lambda tx: outbox.claim_due(tx, after(10 + number / 1000), 4))

    claims = at_once([partial(claim, number) for number in range(4)])
    claimed = [part for part in claims if isinstance(part, list)]
    runs = [delivery.run_id for part in claimed for delivery in part]
    assert len(runs) == 12
    assert set(runs) == accepted


async def test_tasks_of_one_loop_read_and_write_in_turn(
    memory: MemoryStore, stored: Stored
) -> None:
    run_id, _ = stored.accept(user_id="a")
    lengthen = text("UPDATE kern_runs SET user_id = user_id || 'a'")
    await asyncio.gather(
        *[memory.write(lambda tx: tx.connection().execute(lengthen).rowcount) for _ in range(10)],
        *[memory.read(numbers) for _ in range(10)],
    )
    assert stored.look(lambda tx: tx.get_one(RunRow, run_id).user_id) == "a" * 11


async def test_a_stop_is_told_once_it_is_committed_and_may_be_read_then(stored: Stored) -> None:
    run_id, _ = stored.accept()

    def cancel_and_fail(tx: Session) -> None:
        lifecycle.cancel(tx, run_id, OPERATOR, NOW)
        raise KeyError

    with stored.database.stops.watch(run_id) as watch:
        with pytest.raises(KeyError):
            await asyncio.to_thread(stored.do, cancel_and_fail)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.wait(), MOMENT)
        await asyncio.to_thread(stored.answer, run_id, NewCall("1", "refund", question=question()))
        await asyncio.wait_for(watch.wait(), 30)
        assert stored.output(run_id).status is RunStatus.paused


def test_who_is_called_for_a_delivery_reads_it_at_once(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id)
    stored.do(lambda tx: outbox.forget(tx, first))
    stored.accept(session_id=session_id)
    reads: list[bool] = []

    def look() -> None:
        reads.append(stored.look(lambda tx: outbox.is_any_due(tx, NOW)))

    with stored.database.when_due(look):
        stored.answer(first, content="Done.")
    assert reads == [True]
