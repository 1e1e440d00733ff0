"""The database contract: accepting and ending runs, on every database."""

from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlmodel import Session, select

from kern.contracts.answers import NewCall, Question
from kern.contracts.viewer import Viewer
from kern.db.engine import store as engine
from kern.db.engine.stores import PostgresStore
from kern.db.engine.tables import RunRow, SessionRow
from kern.db.journal import outbox
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading import run_outputs
from kern.db.runs import lifecycle
from kern.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from kern.values.ids import new_id
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus, ToolOutcome
from tests.support.stored_runs import NOW, Stored, after, at_once, question


def test_a_run_is_accepted_with_what_starts_it(stored: Stored) -> None:
    run_id, delivery = stored.accept(input="Refund 1042", user_id="ann", metadata={"a": [1]})
    assert delivery is not None
    assert (delivery.kind, delivery.run_id) == (DeliveryKind.start, run_id)
    found = stored.output(run_id)
    assert (found.status, found.number, found.input) == (RunStatus.pending, 1, "Refund 1042")
    assert (found.metadata, found.user_id) == ({"a": [1]}, "ann")
    assert [message.role for message in found.messages] == ["user"]
    assert stored.events(run_id) == ["run_accepted"]


def test_the_same_run_again_starts_nothing(stored: Stored) -> None:
    run_id, _ = stored.accept(session_id=new_id())
    assert stored.accept(run_id=run_id) == (run_id, None)
    assert stored.events(run_id) == ["run_accepted"]


def test_the_same_run_again_with_what_it_came_with_starts_nothing(stored: Stored) -> None:
    came: dict[str, object] = {
        "session_state": {"b": [1.0, "\ud800"], "a": None},
        "metadata": {"k": "\x00"},
        "dependencies": {"d": 1},
    }
    run_id, _ = stored.accept(**came)  # type: ignore[arg-type]
    assert stored.accept(run_id=run_id, **came) == (run_id, None)  # type: ignore[arg-type]


OTHERS: list[dict[str, object]] = [
    {"input": "Bye"},
    {"component_id": "b"},
    {"session_id": "s"},
    {"session_state": {"k": 1}},
    {"session_state": {"k": True}},
    {"metadata": {"m": 2}},
    {"dependencies": {"d": 1}},
]


@pytest.mark.parametrize("other", OTHERS)
def test_an_id_that_is_taken_by_another_run_is_refused(
    stored: Stored, other: dict[str, object]
) -> None:
    run_id, _ = stored.accept(metadata={"m": 1})
    with pytest.raises(Conflict, match="is taken by another run"):
        stored.accept(run_id=run_id, **{"metadata": {"m": 1}, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("owner", "other"), [("ann", "eve"), ("ann", None), (None, "eve"), ("ann", "Ann")]
)
def test_a_session_is_its_owners(stored: Stored, owner: str | None, other: str | None) -> None:
    session_id = new_id()
    run_id, _ = stored.accept(session_id=session_id, user_id=owner)
    with pytest.raises(NotAllowed, match="belongs to another user"):
        stored.accept(session_id=session_id, user_id=other)
    with pytest.raises(NotAllowed):
        stored.accept(run_id=run_id, user_id=other)
    with pytest.raises(NotAllowed):
        stored.look(lambda tx: run_outputs.run_output(tx, run_id, Viewer(other)))
    with pytest.raises(NotAllowed):
        stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer(other), NOW))
    second, _ = stored.accept(session_id=session_id, user_id=owner)
    assert stored.output(second).number == 2


@pytest.mark.parametrize("name", ["run_id", "session_id", "user_id"])
@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_id_is_refused_and_not_taken_for_none(
    stored: Stored, name: str, empty: str
) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is empty"):
        stored.accept(**{name: empty})  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="user_id is empty"):
        Viewer(empty)


def test_a_session_is_begun_once_by_eight_at_once_and_its_runs_are_numbered(
    stored: Stored,
) -> None:
    session_id = new_id()
    found = at_once([lambda: stored.accept(session_id=session_id) for _ in range(8)])
    ids = [run[0] for run in found if isinstance(run, tuple)]
    assert len(ids) == 8, found
    assert sorted(stored.output(run_id).number for run_id in ids) == list(range(1, 9))


def test_one_run_asked_for_by_eight_at_once_is_one_run(stored: Stored) -> None:
    run_id, session_id = new_id(), new_id()
    found = at_once([lambda: stored.accept(run_id=run_id, session_id=session_id) for _ in range(8)])
    started = [run for run in found if isinstance(run, tuple) and run[1] is not None]
    assert len(started) == 1, found
    assert stored.events(run_id) == ["run_accepted"]


def test_state_given_with_a_run_reaches_the_session(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id, session_state={"a": 1, "b": 1})
    run_id, _ = stored.accept(session_id=session_id, session_state={"b": 2})
    assert stored.output(run_id).session_state == {"a": 1, "b": 2}


def test_times_come_back_as_they_were_aware_and_in_utc(stored: Stored) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    run_id, _ = stored.accept(at=elsewhere)
    found = stored.output(run_id)
    assert found.created_at == NOW
    assert found.created_at.tzinfo is UTC
    assert found.messages[0].created_at == NOW


def test_a_time_without_a_zone_is_refused(stored: Stored) -> None:
    run_id = new_id()
    with pytest.raises(Exception, match="has no time zone"):
        stored.accept(run_id=run_id, at=datetime(2026, 1, 1))  # noqa: DTZ001  the point of it
    with pytest.raises(NotFound):
        stored.output(run_id)


@pytest.mark.parametrize("text", ["lone \ud800 surrogate", "a \x00 byte"])
@pytest.mark.parametrize("place", ["input", "session_id", "run_id", "user_id", "session_state"])
def test_what_a_database_cannot_keep_never_half_arrives(
    stored: Stored, place: str, text: str
) -> None:
    given: dict[str, object] = {place: {"k": text} if place == "session_state" else text}
    count = stored.look(lambda tx: len(tx.exec(select(RunRow.id)).all()))
    try:
        run_id, _ = stored.accept(**given)  # type: ignore[arg-type]
    except InvalidInput:
        assert stored.look(lambda tx: len(tx.exec(select(RunRow.id)).all())) == count
    else:
        stored.output(run_id)


def test_numbers_that_json_does_not_have_are_refused(stored: Stored) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        stored.accept(metadata={"a": float("nan")})


@pytest.mark.parametrize("unknown", ["nope", "with\x00nul", "with\ud800surrogate"])
def test_an_unknown_id_is_one_clear_error(stored: Stored, unknown: str) -> None:
    with pytest.raises((NotFound, InvalidInput)):
        stored.output(unknown)
    with pytest.raises((NotFound, InvalidInput)):
        stored.begin(unknown)


def test_a_transaction_that_fails_changes_nothing(stored: Stored) -> None:
    run_id, _ = stored.accept()

    def fails(tx: Session) -> None:
        run = lifecycle.lock(tx, run_id)
        lifecycle.complete(tx, run, "answer", NOW)
        tx.flush()
        raise KeyError(run_id)

    with pytest.raises(KeyError):
        stored.do(fails)
    assert stored.output(run_id).status is RunStatus.pending
    assert stored.events(run_id) == ["run_accepted"]
    assert stored.look(lambda tx: len(outbox.deliveries_of(tx, run_id))) == 1


def test_a_turn_that_was_stored_is_not_stored_again(stored: Stored) -> None:
    run_id, _ = stored.accept()
    first = stored.answer(run_id, NewCall("c1", "refund"), content="first")
    second = stored.answer(run_id, content="second", at=after(5))
    assert second == first
    found = stored.output(run_id)
    assert [m.content for m in found.messages if m.role == "assistant"] == ["first"]
    assert found.metrics.model_calls == 1


def test_eight_answers_to_one_turn_at_once_are_one(stored: Stored) -> None:
    run_id, _ = stored.accept()
    found = at_once([lambda: stored.answer(run_id, NewCall("c", "refund")) for _ in range(8)])
    assert all(outcome == found[0] for outcome in found), found
    assert len(stored.output(run_id).tools) == 1


def test_an_answer_without_calls_completes_the_run(stored: Stored) -> None:
    run_id, _ = stored.accept()
    assert stored.answer(run_id, content="It is done.", at=after(1)).ended
    found = stored.output(run_id)
    assert (found.status, found.content) == (RunStatus.completed, "It is done.")
    assert found.finished_at == after(1)
    assert stored.look(lambda tx: outbox.deliveries_of(tx, run_id)) == []
    assert stored.answer(run_id, turn=2).ended


@pytest.mark.parametrize(
    ("gates", "begun", "status"),
    [
        ([], False, RunStatus.completed),
        ([None], False, RunStatus.running),
        ([None], True, RunStatus.running),
        ([question()], False, RunStatus.paused),
        ([question(), question()], False, RunStatus.paused),
        ([question(), None], False, RunStatus.running),
        ([question(), None], True, RunStatus.running),
    ],
)
def test_a_run_is_paused_when_nothing_but_people_can_move_it(
    stored: Stored, gates: list[Question | None], *, begun: bool, status: RunStatus
) -> None:
    run_id, _ = stored.accept()
    outcome = stored.answer(
        run_id,
        *[NewCall(str(n), "refund", question=gate) for n, gate in enumerate(gates)],
    )
    free = [call.tool_call_id for call in outcome.calls if call.gate is None]
    if begun:
        stored.begin(free[0])
    assert stored.output(run_id).status is status
    if begun and len(gates) == 2:
        stored.finish(free[0])
        assert stored.output(run_id).status is RunStatus.paused


def test_cancelling_closes_everything_and_late_results_leave_it_cancelled(stored: Stored) -> None:
    run_id, _ = stored.accept(user_id="ann")
    outcome = stored.answer(
        run_id, NewCall("1", "refund", question=question()), NewCall("2", "refund")
    )
    gated, free = [call.tool_call_id for call in outcome.calls]
    stored.begin(free)
    delivery = stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), after(1)))
    assert delivery is not None
    assert delivery.kind is DeliveryKind.cancel
    left = stored.look(lambda tx: outbox.deliveries_of(tx, run_id))
    assert [one.kind for one in left] == [DeliveryKind.cancel]
    found = stored.output(run_id)
    assert found.status is RunStatus.cancelled
    assert found.requirements[0].status is RequirementStatus.cancelled
    assert stored.execution(gated).outcome is ToolOutcome.cancelled
    assert stored.execution(free).status is ToolCallStatus.running

    stored.finish(free, at=after(2))
    assert stored.execution(free).outcome is ToolOutcome.result
    assert stored.output(run_id).status is RunStatus.cancelled
    assert stored.output(run_id).finished_at == after(1)
    again = stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), NOW))
    assert again is not None
    assert again.id == delivery.id, "it is still to be delivered"
    stored.do(lambda tx: outbox.confirm(tx, again.id))
    assert stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), NOW)) is None
    with pytest.raises(NotAllowed):
        stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("bob"), NOW))
    stored.events(run_id)


def test_readers_see_one_state_while_others_write(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id)

    def count_twice(tx: Session) -> tuple[int, int]:
        query = select(SessionRow.next_number).where(SessionRow.id == session_id)
        before = tx.exec(query).one()
        at_once([lambda: stored.accept(session_id=session_id)])
        return before, tx.exec(query).one()

    before, meanwhile = stored.look(count_twice)
    assert before == meanwhile
    assert stored.look(lambda tx: tx.get_one(SessionRow, session_id).next_number) == 3


def test_messages_are_read_in_the_order_of_the_calls_whenever_they_came(stored: Stored) -> None:
    run_id, _ = stored.accept()
    outcome = stored.answer(run_id, *[NewCall(n, "refund") for n in "abc"])
    for call in reversed(outcome.calls):
        stored.begin(call.tool_call_id, call.tool_call_id)
        stored.finish(call.tool_call_id, call.tool_call_id)
    told = [m.tool_call_id for m in stored.output(run_id).messages if m.role == "tool"]
    assert told == ["a", "b", "c"]


def test_a_database_that_is_away_is_said_to_be_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_REFUSED_SECONDS", 0.0)
    with closing(PostgresStore("postgresql://kern:sesame@127.0.0.1:1/kern")) as database:
        for act in (lambda: Stored(database).output("a"), database.migrate):
            with pytest.raises(Unavailable, match="does not answer") as caught:
                act()
            assert "sesame" not in str(caught.value)
