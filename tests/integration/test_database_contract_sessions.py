"""The database contract: reading, listing, naming and changing sessions, on every database."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from pydantic import JsonValue
from sqlmodel import Session, select

from kern.contracts.answers import NewCall
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine import cursors
from kern.db.engine.tables import RunRow, SessionRow
from kern.db.reading import session_metrics
from kern.db.sessions import records
from kern.errors import InvalidInput, NotAllowed, NotFound
from kern.session import SessionMetrics, SessionPage
from kern.session_state import StateChange, changes_of
from kern.values.ids import new_id
from tests.support.stored_runs import NAMES, NOW, Stored, after, at_once, opened, question

ANN = Viewer("ann")


@pytest.fixture(params=NAMES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(request.param, tmp_path) as database:
        yield database


def said(stored: Stored, session_id: str, text: str, answer: str, at: float = 0) -> str:
    """Store a completed run of ann's."""
    run_id, _ = stored.accept(session_id=session_id, user_id="ann", input=text, at=after(at))
    stored.answer(run_id, content=answer, at=after(at + 1))
    return run_id


def patch(stored: Stored, session_id: str, *changes: StateChange) -> dict[str, JsonValue]:
    update_id = new_id()
    return stored.do(
        lambda tx: records.update_state(
            tx, session_id, ANN, changes, after(60), update_id=update_id
        )
    )


def test_a_session_is_read_as_it_stands(stored: Stored) -> None:
    session_id = new_id()
    said(stored, session_id, "Hi", "Hello")
    stored.accept(session_id=session_id, user_id="ann", at=after(9), session_state={"a": [1]})
    found = stored.look(lambda tx: records.read(tx, session_id, ANN))
    assert (found.session_id, found.user_id, found.component_id) == (session_id, "ann", "agent")
    assert (found.name, found.summary, found.forked_from) == (None, None, None)
    assert (found.run_count, found.session_state) == (2, {"a": [1]})
    assert (found.created_at, found.updated_at) == (NOW, after(9))


PATHS: dict[str, Callable[..., object]] = {
    "read": records.read,
    "rename": partial(records.rename, name="Name", now=NOW),
    "state": partial(records.update_state, changes=[], now=NOW, update_id="u"),
    "messages": records.messages,
    "chat": records.chat_history,
    "metrics": partial(session_metrics.metrics, now=NOW),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("owner", ["ann", None])
def test_only_its_owner_and_component_reach_a_session(
    stored: Stored, path: str, owner: str | None
) -> None:
    session_id, act = new_id(), PATHS[path]
    stored.accept(session_id=session_id, user_id=owner)
    for other in {"ann", "eve", None} - {owner}:
        with pytest.raises(NotAllowed, match="belongs to another user"):
            stored.do(partial(act, session_id=session_id, viewer=Viewer(other)))
    with pytest.raises(InvalidInput, match="belongs to the component 'agent', not to 'other'"):
        stored.do(lambda tx: act(tx, session_id, Viewer(owner, component_id="other")))
    for viewer in (Viewer(owner), Viewer(owner, component_id="agent"), OPERATOR):
        stored.do(partial(act, session_id=session_id, viewer=viewer))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("unknown", ["nope", "", " ", "with\x00nul", "with\ud800surrogate"])
def test_an_unknown_session_is_one_clear_error(stored: Stored, path: str, unknown: str) -> None:
    with pytest.raises((NotFound, InvalidInput)):
        stored.do(lambda tx: PATHS[path](tx, session_id=unknown, viewer=ANN))


def test_a_run_of_another_component_never_enters_a_session(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id)
    with pytest.raises(InvalidInput, match="belongs to the component 'agent', not to 'other'"):
        stored.accept(session_id=session_id, component_id="other")


def test_a_name_is_kept_and_an_empty_one_refused(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id, user_id="ann")
    stored.do(lambda tx: records.rename(tx, session_id, ANN, " Refund of 1042\n", after(5)))
    for name in ("", " \n"):
        with pytest.raises(InvalidInput, match="name is empty"):
            stored.do(
                partial(records.rename, session_id=session_id, viewer=ANN, name=name, now=NOW)
            )
    found = stored.look(lambda tx: records.read(tx, session_id, ANN))
    assert (found.name, found.updated_at) == ("Refund of 1042", after(5))


def turn_pages(
    fresh: Stored, viewer: Viewer, limit: int, user_id: str | None = None
) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        turn = partial(records.page, viewer=viewer, limit=limit, cursor=cursor, user_id=user_id)
        page = fresh.look(turn)
        pages.append([one.session_id for one in page.sessions])
        cursor = page.next_cursor
        if cursor is None:
            return pages


def test_sessions_are_listed_for_their_owner_the_latest_first(fresh: Stored) -> None:
    # Several of one moment: the id decides among them.
    for number in range(5):
        fresh.accept(session_id=f"s{number}", user_id="ann", at=after(number // 2))
    fresh.accept(session_id="anonymous", at=after(9))
    fresh.accept(session_id="eve's", user_id="eve", at=after(9))
    fresh.accept(session_id="other's", user_id="ann", component_id="other", at=after(8))
    mine = Viewer("ann", component_id="agent")
    assert turn_pages(fresh, mine, 2) == [["s4", "s3"], ["s2", "s1"], ["s0"]]
    assert turn_pages(fresh, mine, 5) == [["s4", "s3", "s2", "s1", "s0"]]
    assert turn_pages(fresh, ANN, 1)[0] == ["other's"]
    assert turn_pages(fresh, Viewer(), 9) == [["anonymous"]]
    assert turn_pages(fresh, Viewer("nobody"), 9) == [[]]
    assert len(turn_pages(fresh, OPERATOR, 3)[0]) == 3
    assert turn_pages(fresh, OPERATOR, 9, user_id="eve") == [["eve's"]]


def test_a_session_that_changes_while_pages_are_turned_repeats_none(fresh: Stored) -> None:
    for number in range(4):
        fresh.accept(session_id=f"s{number}", user_id="ann", at=after(number))
    first = fresh.look(lambda tx: records.page(tx, ANN, limit=2))
    # The very one at which the page ended moves to the front.
    fresh.accept(session_id="s2", user_id="ann", at=after(50))
    rest = fresh.look(lambda tx: records.page(tx, ANN, limit=9, cursor=first.next_cursor))
    assert [one.session_id for one in rest.sessions] == ["s1", "s0"]


@pytest.mark.parametrize("cursor", ["", "x", "ä", "bnVsbA", "WyJhIiwgImIiXQ", "e30"])
def test_a_cursor_that_no_page_gave_is_refused(stored: Stored, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="is no cursor"):
        stored.look(lambda tx: records.page(tx, ANN, limit=2, cursor=cursor))


@pytest.mark.parametrize("session_id", ["a b/ä?", "…", "-"])
def test_a_cursor_is_one_plain_word(session_id: str) -> None:
    place = cursors.Place(NOW, session_id)
    word = cursors.encode(place)
    assert word.replace("-", "").replace("_", "").isalnum()
    assert cursors.decode(word) == place


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_that_makes_no_sense_is_refused(stored: Stored, limit: int) -> None:
    with pytest.raises(InvalidInput, match=f"limit is {limit}"):
        stored.look(lambda tx: records.page(tx, ANN, limit=limit))


def test_a_listing_is_read_by_index_and_asks_once(tmp_path: Path) -> None:
    from sqlalchemy import event

    with opened("sqlite", tmp_path) as stored:
        asked: list[tuple[str, object]] = []
        engine = stored.database.engine
        event.listen(engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
        first = stored.look(lambda tx: records.page(tx, ANN, limit=2))
        assert first == SessionPage()
        cursor = cursors.encode(cursors.Place(NOW, "s"))
        stored.look(lambda tx: records.page(tx, ANN, limit=2, cursor=cursor))
        listings = [one for one in asked if one[0].startswith("SELECT")]
        assert len(listings) == 2
        for statement, values in listings:
            assert "messages" not in statement
            with engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
                steps = [row[3] for row in plan]
            assert len(steps) == 1
            assert "USING INDEX kern_sessions_of_tenant_user" in steps[0]


def test_the_chat_is_what_was_asked_and_answered_in_completed_runs(stored: Stored) -> None:
    session_id = new_id()
    first, _ = stored.accept(session_id=session_id, user_id="ann", input="Refund 1042")
    call = stored.answer(first, NewCall("c1", "refund"), content="I shall look.").calls[0]
    stored.begin(call.tool_call_id)
    stored.finish(call.tool_call_id)
    stored.answer(first, content="It is paid.", turn=2, at=after(4))
    paused, _ = stored.accept(session_id=session_id, user_id="ann", input="Another")
    stored.answer(paused, NewCall("c1", "refund", question=question()))
    said(stored, session_id, "Thanks", "Welcome", at=5)

    def chat(limit: int | None = None) -> list[tuple[str, str]]:
        found = stored.look(lambda tx: records.chat_history(tx, session_id, ANN, limit))
        return [(message.role, message.content) for message in found]

    whole = [
        ("user", "Refund 1042"),
        ("assistant", "It is paid."),
        ("user", "Thanks"),
        ("assistant", "Welcome"),
    ]
    assert chat() == whole
    assert [chat(limit) for limit in (1, 2, 3, 9)] == [whole[3:], whole[2:], whole[1:], whole]
    everything = stored.look(lambda tx: records.messages(tx, session_id, ANN))
    assert [message.role for message in everything] == [
        *("user", "assistant", "tool", "assistant"),
        *("user", "assistant"),
        *("user", "assistant"),
    ]
    latest = stored.look(lambda tx: records.messages(tx, session_id, ANN, 3))
    assert latest == everything[-3:]


def test_state_is_changed_all_at_once_or_not_at_all(stored: Stored) -> None:
    session_id = new_id()
    stored.accept(session_id=session_id, user_id="ann", session_state={"n": 1, "old": True})
    before = stored.look(lambda tx: tx.get_one(SessionRow, session_id)).state_version
    changed = patch(
        stored,
        session_id,
        *changes_of({"city": "Köln"}),
        StateChange(op="increment", key="n", value=2),
        StateChange(op="append", key="seen", value={"id": 1}),
        StateChange(op="delete", key="old"),
    )
    expected = {"n": 3, "city": "Köln", "seen": [{"id": 1}]}
    assert changed == expected
    wrong = StateChange(op="increment", key="city", value=1)
    with pytest.raises(InvalidInput, match="is no number"):
        patch(stored, session_id, *changes_of({"n": 9}), wrong)
    with pytest.raises(InvalidInput, match="cannot be incremented by 'x'"):
        patch(stored, session_id, StateChange(op="increment", key="n", value="x"))
    row = stored.look(lambda tx: tx.get_one(SessionRow, session_id))
    assert (row.state, row.state_version, row.updated_at) == (expected, before + 1, after(60))


@pytest.mark.parametrize("wrong", ["text", [("a", 1)], {"a": {1}}, {"a": float("nan")}, {1: 2}])
def test_changes_that_are_none_are_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        changes_of(wrong)  # type: ignore[arg-type]


def test_changes_from_outside_and_from_tools_at_once_lose_nothing(stored: Stored) -> None:
    session_id = new_id()
    calls = [stored.call(session_id=session_id, user_id="ann") for _ in range(4)]
    for call_id in calls:
        stored.begin(call_id)

    def changes(name: str) -> list[StateChange]:
        return [
            StateChange(op="increment", key="count", value=1),
            StateChange(op="append", key="names", value=name),
            StateChange(op="set", key=name, value=True),
        ]

    done = at_once(
        [
            *(lambda c=call: stored.finish(c, "attempt", *changes(c)) for call in calls),
            *(lambda n=f"p{n}": patch(stored, session_id, *changes(n)) for n in range(8)),
        ]
    )
    assert not [one for one in done if isinstance(one, Exception)]
    names = {*calls, *(f"p{n}" for n in range(8))}
    state = stored.look(lambda tx: records.read(tx, session_id, ANN)).session_state
    assert state["count"] == len(names)
    assert set(state) == {*names, "count", "names"}
    assert isinstance(state["names"], list)
    assert sorted(map(str, state["names"])) == sorted(names)
    version = stored.look(
        lambda tx: tx.exec(
            select(SessionRow.state_version).where(SessionRow.id == session_id)
        ).one()
    )
    assert version == len(names)


def test_metrics_are_the_sums_of_the_runs(stored: Stored) -> None:
    session_id = new_id()
    for number in (1, 2):
        run_id = said(stored, session_id, "Hi", "Hello")
        fill(stored, run_id, input_tokens=number, output_tokens=10, tool_calls=1)
    empty = new_id()
    stored.accept(session_id=empty, user_id="ann")
    found = stored.look(lambda tx: session_metrics.metrics(tx, session_id, ANN, after(100)))
    assert (found.run_count, found.input_tokens, found.output_tokens) == (2, 3, 20)
    assert (found.total_tokens, found.model_calls, found.tool_calls) == (23, 2, 2)
    none = stored.look(lambda tx: session_metrics.metrics(tx, empty, ANN, after(100)))
    assert (none.run_count, none.total_tokens, none.working_seconds) == (1, 0, 0.0)


def test_time_is_split_in_working_and_waiting(stored: Stored) -> None:
    session_id = new_id()
    # Ended after 10 seconds, 4 of them waiting; works since 10; worked until 50, and waits since;
    # waits for its turn.
    times: list[dict[str, object]] = [
        {"status": "completed", "working_seconds": 6.0, "waiting_seconds": 4.0, "counted_at": NOW},
        {"status": "running", "counted_at": after(10)},
        {"status": "paused", "working_seconds": 20.0, "counted_at": after(50)},
        {"status": "pending"},
    ]
    for values in times:
        run_id, _ = stored.accept(session_id=session_id, user_id="ann")
        fill(stored, run_id, **values)

    def used(seconds: float) -> SessionMetrics:
        now = after(seconds)
        return stored.look(lambda tx: session_metrics.metrics(tx, session_id, ANN, now))

    assert used(100).working_seconds == pytest.approx(6 + 90 + 20, abs=0.001)
    assert used(100).waiting_seconds == pytest.approx(4 + 50, abs=0.001)
    # A clock that is behind takes nothing away.
    assert used(-100).working_seconds == pytest.approx(6 + 20, abs=0.001)
    assert used(-100).waiting_seconds == pytest.approx(4, abs=0.001)


def fill(stored: Stored, run_id: str, **values: object) -> None:
    """Write figures into a run's row."""

    def write(tx: Session) -> None:
        run = tx.get_one(RunRow, run_id)
        for name, value in values.items():
            setattr(run, name, value)

    stored.do(write)


def test_a_change_of_the_state_is_applied_once_by_its_id_and_few_ids_are_kept(
    stored: Stored,
) -> None:
    session_id = new_id()
    said(stored, session_id, "Hi", "Hello")
    plus = [StateChange(op="increment", key="n", value=1)]

    def update(update_id: str) -> object:
        return stored.do(
            lambda tx: records.update_state(tx, session_id, ANN, plus, NOW, update_id=update_id)
        )

    for number in range(130):
        assert update(f"u{number}") == update(f"u{number}") == {"n": number + 1}
    row = stored.look(lambda tx: tx.get_one(SessionRow, session_id))
    assert (len(row.state_updates or []), row.state_version) == (100, 130)
    assert at_once([lambda: update("one")] * 8) == [{"n": 131}] * 8
