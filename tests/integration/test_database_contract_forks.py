"""The database contract: deleting and copying whole sessions, on every database."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlmodel import Session, col, func, select

from kern.context.history_window import Window
from kern.contracts.answers import NewCall
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.base import KernRow
from kern.db.engine.plain_rows import add
from kern.db.engine.tables import FileRow, MessageRow, RunRow, SessionRow
from kern.db.engine.typed_tables import DELETED_RUNS, FILES, RUNS
from kern.db.journal import outbox, verification
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading import history_window, session_metrics
from kern.db.runs import lifecycle
from kern.db.runs.deleted import is_deleted
from kern.db.sessions import deletions, forks, records
from kern.errors import Conflict, InvalidInput, NotAllowed, NotFound
from kern.session_state import StateChange
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.stored_runs import NOW, Stored, after, at_once, question

ANN = Viewer("ann")


def delete(stored: Stored, session_id: str, viewer: Viewer = ANN) -> list[Delivery]:
    return stored.do(lambda tx: deletions.delete(tx, session_id, viewer, NOW))


def fork(stored: Stored, session_id: str, run_id: str | None = None, viewer: Viewer = ANN) -> str:
    return stored.do(
        lambda tx: forks.fork(tx, session_id, viewer, after(99), fork_id=new_id(), run_id=run_id)
    )


def said(stored: Stored, session_id: str, text: str, answer: str = "Yes.") -> str:
    run_id, _ = stored.accept(session_id=session_id, user_id="ann", input=text)
    stored.answer(run_id, content=answer, at=after(1))
    return run_id


def attach(stored: Stored, session_id: str, run_id: str) -> str:
    """Have a run's input come with a file."""
    file_id = new_id()

    def write(tx: Session) -> None:
        add(
            tx,
            FILES,
            id=file_id,
            session_id=session_id,
            name="bill.pdf",
            media_type="application/pdf",
            size=3,
            digest=file_id,
            data=b"abc",
            created_at=NOW,
        )
        tx.get_one(MessageRow, (run_id, 0, 0)).files = [file_id]

    stored.do(write)
    return file_id


def left_of(stored: Stored, session_id: str, run_ids: list[str]) -> dict[str, int]:
    """Count the rows that still tell of a session, table by table."""

    def count(tx: Session) -> dict[str, int]:
        found: dict[str, int] = {}
        for table in KernRow.metadata.sorted_tables:
            told = [table.c.session_id == session_id] if "session_id" in table.c else []
            told += [table.c.run_id.in_(run_ids)] if "run_id" in table.c else []
            for where in told:
                query = select(func.count()).select_from(table).where(where)
                found[table.name] = found.get(table.name, 0) + tx.exec(query).one()
        return {name: number for name, number in found.items() if number}

    return stored.look(count)


def test_a_deleted_session_leaves_only_what_was_decided(stored: Stored) -> None:
    session_id = new_id()
    completed = said(stored, session_id, "Hi")
    attach(stored, session_id, completed)
    call = stored.call(question(), session_id=session_id, user_id="ann")
    stored.resolve(stored.requirement(call))
    stored.begin(call)
    waiting = stored.call(question(), session_id=session_id, user_id="ann")
    run_ids = [completed, stored.run_of(call), stored.run_of(waiting)]
    neighbour = said(stored, new_id(), "Hi")
    before = stored.look(verification.verify)

    deliveries = delete(stored, session_id)

    assert sorted(one.run_id for one in deliveries) == sorted(run_ids[1:])
    assert {one.kind for one in deliveries} == {DeliveryKind.cancel}
    assert left_of(stored, session_id, run_ids) == {"kern_decisions": 1, "kern_outbox": 2}
    assert stored.look(verification.verify) == before
    assert stored.output(neighbour).content == "Yes."
    for run_id in run_ids:
        assert stored.look(partial(is_deleted, run_id=run_id))
        with pytest.raises(NotFound):
            stored.output(run_id)
    with pytest.raises(NotFound):
        delete(stored, session_id)
    # And the chain grows on.
    stored.resolve(stored.gated())
    assert stored.look(verification.verify).decisions == before.decisions + 1


def test_what_cancels_the_runs_of_a_deleted_session_is_delivered_later(stored: Stored) -> None:
    """The client may have died right after the transaction."""
    session_id = new_id()
    call = stored.call(question(), session_id=session_id, user_id="ann")
    run_id = stored.run_of(call)
    [delivery] = delete(stored, session_id)
    due = stored.do(lambda tx: outbox.claim_due(tx, after(60)))
    assert [(one.kind, one.id) for one in due if one.run_id == run_id] == [("cancel", delivery.id)]


def test_only_its_owner_and_component_delete_or_copy_a_session(stored: Stored) -> None:
    session_id = new_id()
    run_id = said(stored, session_id, "Hi")
    for act in (delete, fork):
        for other in (Viewer("eve"), Viewer()):
            with pytest.raises(NotAllowed):
                act(stored, session_id, viewer=other)
        with pytest.raises(InvalidInput, match="not to 'other'"):
            act(stored, session_id, viewer=Viewer("ann", component_id="other"))
        for unknown in ("nope", "", "with\x00nul"):
            with pytest.raises((NotFound, InvalidInput)):
                act(stored, unknown)
    assert stored.output(run_id).content == "Yes."
    delete(stored, session_id, OPERATOR)


def test_late_writes_of_a_deleted_run_find_nothing_and_leave_nothing(stored: Stored) -> None:
    session_id = new_id()
    call = stored.call(session_id=session_id, user_id="ann")
    run_id = stored.run_of(call)
    stored.begin(call)
    delete(stored, session_id)
    change = StateChange(op="increment", key="n", value=1)
    for late in (
        lambda: stored.finish(call, "attempt", change),
        lambda: stored.answer(run_id, content="late", turn=2),
        lambda: stored.begin(call),
        lambda: stored.do(lambda tx: lifecycle.cancel(tx, run_id, ANN, NOW)),
    ):
        with pytest.raises(NotFound):
            late()
    assert left_of(stored, session_id, [run_id]) == {"kern_outbox": 1}


def test_the_id_of_a_deleted_run_starts_no_other_one(stored: Stored) -> None:
    """A repeated call that was late would do again what was done."""
    session_id, run_id = new_id(), new_id()
    stored.accept(session_id=session_id, run_id=run_id, user_id="ann")
    delete(stored, session_id)
    with pytest.raises(Conflict, match="was deleted with its session"):
        stored.accept(run_id=run_id)
    # The session's id is free, for whoever comes.
    again, _ = stored.accept(session_id=session_id, user_id="eve")
    assert stored.output(again).number == 1


def test_ids_of_deleted_runs_are_forgotten_after_months(stored: Stored) -> None:
    long_ago, session_id = NOW - timedelta(days=91), new_id()
    stored.do(lambda tx: add(tx, DELETED_RUNS, id=session_id, deleted_at=long_ago))
    assert stored.look(lambda tx: is_deleted(tx, session_id))
    said(stored, session_id, "Hi")
    delete(stored, session_id)
    assert not stored.look(lambda tx: is_deleted(tx, session_id))


@pytest.mark.parametrize("_time", range(3))
def test_deleting_while_runs_begin_and_end_leaves_nothing_half(stored: Stored, _time: int) -> None:
    session_id = new_id()
    calls = [stored.call(session_id=session_id, user_id="ann") for _ in range(3)]
    run_ids, new = [stored.run_of(call) for call in calls], [new_id() for _ in range(3)]
    for call in calls:
        stored.begin(call)
    change = StateChange(op="increment", key="n", value=1)

    def finish(call: str) -> object:
        return stored.finish(call, "attempt", change)

    def begin(run_id: str) -> object:
        return stored.accept(run_id=run_id, session_id=session_id, user_id="ann")

    acts: list[Callable[[], object]] = [
        *(partial(finish, call) for call in calls),
        partial(delete, stored, session_id),
        *(partial(begin, run_id) for run_id in new),
    ]
    found = at_once(acts)

    wrong = [one for one in found if isinstance(one, Exception)]
    assert all(isinstance(one, NotFound) for one in wrong), wrong
    assert set(left_of(stored, "", run_ids)) <= {"kern_outbox"}
    query = select(RunRow.id).where(RunRow.session_id == session_id)
    left = stored.look(lambda tx: list(tx.exec(query)))
    # Those that came after the deletion have a session of their own.
    assert set(left) <= set(new)
    begun = stored.look(lambda tx: tx.get(SessionRow, session_id))
    assert (begun is not None) == bool(left)
    assert begun is None or begun.next_number == len(left) + 1


def test_a_fork_goes_on_from_a_copy_of_what_was_said(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id, user_id="ann", session_state={"n": 1})
    first = said(stored, session_id, "Refund 1042", "Shall I?")
    with_call, _ = stored.accept(session_id=session_id, user_id="ann", input="Yes")
    call = stored.answer(with_call, NewCall("c1", "refund", question=question())).calls[0]
    stored.resolve(stored.requirement(call.tool_call_id))
    stored.begin(call.tool_call_id)
    stored.finish(call.tool_call_id)
    stored.answer(with_call, content="Paid.", turn=2)
    stored.do(lambda tx: records.rename(tx, session_id, ANN, "Refund", NOW))
    before = stored.look(lambda tx: records.messages(tx, session_id, ANN))

    fork_id = fork(stored, session_id)

    found = stored.look(lambda tx: records.read(tx, fork_id, ANN))
    assert (found.forked_from, found.name, found.session_state) == (session_id, "Refund", {"n": 1})
    assert (found.run_count, found.created_at) == (2, after(99))
    assert chat(stored, fork_id) == ["Refund 1042", "Shall I?", "Yes", "Paid."]
    copied = stored.look(lambda tx: records.messages(tx, fork_id, ANN))
    assert copied == before[1:], "all but those of the run that has not ended"
    latest, earlier = stored.look(lambda tx: records.latest_runs(tx, fork_id, 9))
    assert [latest.number, earlier.number] == [2, 1]
    assert latest.run_id not in {first, with_call}
    assert latest.status is RunStatus.completed
    assert stored.output(latest.run_id).tools == []
    assert stored.events(latest.run_id) == ["run_completed"], "for those who read it"
    assert stored.look(lambda tx: tx.get_one(RunRow, latest.run_id)).forked_from == with_call
    # Each goes its own way, and the next turn sees what was copied.
    said(stored, fork_id, "Thanks")
    next_run, _ = stored.accept(session_id=fork_id, user_id="ann")
    assert stored.output(next_run).number == 4
    shown = stored.look(lambda tx: history_window.earlier(tx, fork_id, 4, Window(runs=9)))
    assert [message.content for message in shown][-2:] == ["Thanks", "Yes."]
    assert [message.content for message in shown][: len(copied)] == [
        message.content for message in copied
    ]
    assert stored.look(lambda tx: records.messages(tx, session_id, ANN)) == before
    stored.look(verification.verify)


def chat(stored: Stored, session_id: str) -> list[str]:
    found = stored.look(lambda tx: records.chat_history(tx, session_id, ANN))
    return [message.content for message in found]


def test_what_a_fork_copied_is_not_counted_again(stored: Stored) -> None:
    session_id = new_id()
    said(stored, session_id, "Hi")
    fork_id = fork(stored, fork(stored, session_id))
    said(stored, fork_id, "Again")
    used = stored.look(lambda tx: session_metrics.metrics(tx, fork_id, ANN, NOW))
    assert (used.run_count, used.model_calls) == (1, 1)
    copied = stored.look(lambda tx: records.latest_runs(tx, fork_id, 9))[1]
    assert copied.metrics.model_calls == 0


def test_a_fork_up_to_a_run_ends_with_it(stored: Stored) -> None:
    session_id = new_id()
    run_ids = [said(stored, session_id, f"Question {n}") for n in range(3)]
    summarised(stored, session_id, 2)
    fork_id = fork(stored, session_id, run_ids[1])
    assert chat(stored, fork_id)[::2] == ["Question 0", "Question 1"]
    assert summary_of(stored, fork_id) == ("So far.", 2)
    assert told(stored, fork_id) == [True, True]
    shorter = fork(stored, session_id, run_ids[0])
    assert summary_of(stored, shorter) == (None, 0)
    assert told(stored, shorter) == [False]
    other = said(stored, new_id(), "Hi")
    with pytest.raises(InvalidInput, match=f"is not of session '{session_id}'"):
        fork(stored, session_id, other)
    for unknown in ("nope", ""):
        with pytest.raises((NotFound, InvalidInput)):
            fork(stored, session_id, unknown)


def summarised(stored: Stored, session_id: str, number: int) -> None:
    def write(tx: Session) -> None:
        row = tx.get_one(SessionRow, session_id)
        row.summary, row.summary_number = "So far.", number
        query = select(RunRow).where(RunRow.session_id == session_id, RunRow.number <= number)
        for run in tx.exec(query):
            run.is_summarised = True

    stored.do(write)


def summary_of(stored: Stored, session_id: str) -> tuple[str | None, int]:
    row = stored.look(lambda tx: tx.get_one(SessionRow, session_id))
    return row.summary, row.summary_number


def told(stored: Stored, session_id: str) -> list[bool]:
    query = select(RunRow.is_summarised).where(RunRow.session_id == session_id)
    return stored.look(lambda tx: list(tx.exec(query)))


def test_runs_that_did_not_complete_are_not_copied_and_numbers_close_up(stored: Stored) -> None:
    session_id = new_id()
    cancelled, _ = stored.accept(session_id=session_id, user_id="ann", input="No")
    stored.do(lambda tx: lifecycle.cancel(tx, cancelled, ANN, NOW))
    said(stored, session_id, "Yes")
    summarised(stored, session_id, 2)
    fork_id = fork(stored, session_id)
    assert summary_of(stored, fork_id) == ("So far.", 1)
    assert [run.number for run in stored.look(lambda tx: records.latest_runs(tx, fork_id, 9))] == [
        1
    ]
    assert fork(stored, fork(stored, session_id)) != fork_id


def test_runs_inside_runs_stay_with_the_originals(stored: Stored) -> None:
    session_id = new_id()
    team = said(stored, session_id, "Team")
    member = said(stored, session_id, "Member")

    def place(tx: Session) -> None:
        tx.get_one(RunRow, member).parent_run_id = team

    stored.do(place)
    fork_id = fork(stored, session_id)
    assert chat(stored, fork_id) == ["Team", "Yes."]

    def parents(tx: Session) -> list[str | None]:
        query = select(RunRow.parent_run_id).where(RunRow.session_id == fork_id)
        return list(tx.exec(query))

    assert stored.look(parents) == [None]


def test_a_fork_has_the_files_of_the_runs_that_are_copied_and_no_others(stored: Stored) -> None:
    session_id = new_id()
    first, second = (said(stored, session_id, text) for text in ("one", "two"))
    for run_id in (first, second):
        attach(stored, session_id, run_id)
    fork_id = fork(stored, session_id, first)

    def count(tx: Session) -> int:
        return len(tx.exec(select(FileRow.id).where(FileRow.session_id == fork_id)).all())

    assert stored.look(count) == 1


def test_a_fork_keeps_its_files_when_the_session_is_deleted(stored: Stored) -> None:
    session_id = new_id()
    run_id = said(stored, session_id, "Look at this")
    file_id = attach(stored, session_id, run_id)
    fork_id = fork(stored, session_id)
    delete(stored, session_id)

    def files(tx: Session) -> tuple[FileRow, MessageRow]:
        file = tx.exec(select(FileRow).where(FileRow.session_id == fork_id)).one()
        query = select(MessageRow).join(RunRow, col(RunRow.id) == col(MessageRow.run_id))
        first = tx.exec(query.where(RunRow.session_id == fork_id, MessageRow.turn == 0)).one()
        return file, first

    file, message = stored.look(files)
    assert file.id != file_id
    assert (file.data, message.files) == (b"abc", [file.id])


def test_copies_know_every_column_of_what_they_copy() -> None:
    """A new column of a run says whether a copy has it, too: look at `forks.fork`."""
    assert set(RUNS.table.c.keys()) == {
        *("id", "session_id", "parent_run_id", "root_run_id", "ancestors", "path", "callers"),
        *("forked_from", "tenant", "user_id", "requester", "component_id"),
        *(
            "idempotency_key",
            "outage",
            "policy",
            "executed_policy",
            "shape",
            "steps_opened",
            "steps_known",
            "steps_done",
        ),
        *("component_kind", "number", "status", "retries"),
        *("is_queued", "is_streamed", "is_summarised"),
        *("input", "content"),
        *("error_code", "error_message", "turn", "last_event", "input_tokens", "output_tokens"),
        *("cached_tokens", "reasoning_tokens", "model_calls", "tool_calls"),
        *("first_token_seconds", "working_seconds", "waiting_seconds", "dependencies"),
        *("run_metadata", "created_at", "updated_at", "started_at", "counted_at", "finished_at"),
    }
