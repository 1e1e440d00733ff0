"""The database contract: concurrent runs lose nothing of a session's state, on every database."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from kern.contracts.answers import NewCall
from kern.db.journal.events import events_of
from kern.db.turns.attempts import Storing
from kern.session_state import SessionState, StateChange
from kern.values.ids import new_id
from tests.support.stored_runs import Stored, at_once

RUNS = 50


def call_in(stored: Stored, session_id: str, **request: object) -> str:
    run_id, _ = stored.accept(session_id=session_id, on_busy="parallel", **request)  # type: ignore[arg-type]
    return stored.answer(run_id, NewCall("c", "note", effect="idempotent")).calls[0].tool_call_id


def state_of(stored: Stored, call_id: str) -> dict[str, JsonValue]:
    return stored.output(stored.run_of(call_id)).session_state


def told(stored: Stored, call_id: str, kind: str) -> list[Mapping[str, JsonValue]]:
    run_id = stored.run_of(call_id)
    stored.events(run_id)
    return [one.data for one in stored.look(lambda tx: events_of(tx, run_id)) if one.kind == kind]


def read_state(stored: Stored, call_id: str, token: str) -> SessionState:
    taken: Any = stored.begin(call_id, token)
    return SessionState(taken.state)


def test_fifty_runs_at_once_lose_nothing_and_apply_nothing_twice(stored: Stored) -> None:
    session = new_id()
    ids = [call_in(stored, session) for _ in range(RUNS)]

    def act(number: int) -> None:
        """End a call as workers do, of which every other dies in it and every report comes twice.

        What a dead attempt did is lost, and what it reports late is refused.
        """
        call_id = ids[number]
        state = read_state(stored, call_id, "first")
        _change(state, number)
        token = "first"
        if number % 2:
            state, token = read_state(stored, call_id, "second"), "second"
            _change(state, number)
        for _ in range(2):
            assert stored.finish(call_id, token, *state.changes()) is Storing.stored
        if number % 2:
            assert stored.finish(call_id, "first", *state.changes()) is Storing.fenced

    done = at_once([lambda n=n: act(n) for n in range(RUNS)])  # type: ignore[misc]

    assert done == [None] * RUNS
    state = state_of(stored, ids[0])
    log = state.pop("log")
    assert isinstance(log, list)
    assert sorted(log, key=str) == sorted(range(RUNS), key=str)
    assert state.pop("count") == RUNS
    assert state == {f"own{n}": n for n in range(RUNS)}
    for call_id in ids:
        assert len(told(stored, call_id, "session_state_changed")) == 1
        assert told(stored, call_id, "session_state_overwritten") == []


def _change(state: SessionState, number: int) -> None:
    state.append("log", number)
    state.increment("count")
    state[f"own{number}"] = number


def test_a_set_that_meets_another_value_stands_and_an_event_has_both(stored: Stored) -> None:
    session = new_id()
    first, second = call_in(stored, session, session_state={"k": 1}), call_in(stored, session)
    one, two = read_state(stored, first, "a"), read_state(stored, second, "b")
    one["k"], two["k"] = "one", "two"
    stored.finish(first, "a", *one.changes())
    stored.finish(second, "b", *two.changes())
    assert state_of(stored, first) == {"k": "two"}
    assert told(stored, first, "session_state_overwritten") == []
    assert told(stored, second, "session_state_overwritten") == [
        {"key": "k", "lost": {"value": "one"}, "stands": {"value": "two"}}
    ]


def test_a_set_to_the_value_that_was_read_stands_too(stored: Stored) -> None:
    session = new_id()
    first = call_in(stored, session, session_state={"light": "off", "gone": 1})
    second = call_in(stored, session)
    one, two = read_state(stored, first, "a"), read_state(stored, second, "b")
    two["light"], two["gone"] = "on", 2
    one["light"] = "off"
    del one["gone"]
    one["gone"] = 1
    stored.finish(second, "b", *two.changes())
    stored.finish(first, "a", *one.changes())
    assert state_of(stored, first) == {"light": "off", "gone": 1}
    assert told(stored, first, "session_state_overwritten") == [
        {"key": "light", "lost": {"value": "on"}, "stands": {"value": "off"}},
        {"key": "gone", "lost": {"value": 2}, "stands": {"value": 1}},
    ]


def test_a_set_after_a_delete_and_a_delete_after_a_set_are_told(stored: Stored) -> None:
    session = new_id()
    first = call_in(stored, session, session_state={"a": 1, "b": 1})
    second = call_in(stored, session)
    one, two = read_state(stored, first, "a"), read_state(stored, second, "b")
    one["b"] = 2
    del one["a"]
    two["a"] = 3
    del two["b"]
    stored.finish(first, "a", *one.changes())
    stored.finish(second, "b", *two.changes())
    assert state_of(stored, first) == {"a": 3}
    assert told(stored, second, "session_state_overwritten") == [
        {"key": "a", "lost": {}, "stands": {"value": 3}},
        {"key": "b", "lost": {"value": 2}, "stands": {}},
    ]


def test_the_same_value_twice_and_an_append_overwrite_nothing(stored: Stored) -> None:
    session = new_id()
    first, second = call_in(stored, session), call_in(stored, session)
    one, two = read_state(stored, first, "a"), read_state(stored, second, "b")
    for state in (one, two):
        state["same"] = [1]
        state.append("log", 1)
    stored.finish(first, "a", *one.changes())
    stored.finish(second, "b", *two.changes())
    assert state_of(stored, first) == {"same": [1], "log": [1, 1]}
    assert told(stored, second, "session_state_overwritten") == []


def test_a_change_that_does_not_fit_any_more_is_refused_and_told(stored: Stored) -> None:
    session = new_id()
    first, second = call_in(stored, session), call_in(stored, session)
    one, two = read_state(stored, first, "a"), read_state(stored, second, "b")
    one["k"] = "text"
    two.increment("k")
    two["own"] = 1
    stored.finish(first, "a", *one.changes())
    assert stored.finish(second, "b", *two.changes()) is Storing.stored
    assert state_of(stored, first) == {"k": "text", "own": 1}
    (refused,) = told(stored, second, "session_state_refused")
    assert refused["change"] == {"op": "increment", "key": "k", "value": 1}


def test_what_a_run_brings_overrides_what_is_stored_and_is_told(stored: Stored) -> None:
    session = new_id()
    first = call_in(stored, session, session_state={"a": 1, "b": 1})
    stored.begin(first, "t")
    stored.finish(first, "t", StateChange(op="set", key="b", value=2))
    second = call_in(stored, session, session_state={"a": 3})
    third = call_in(stored, session)
    assert state_of(stored, third) == {"a": 3, "b": 2}
    assert told(stored, second, "session_state_changed") == [
        {"changes": [{"op": "set", "key": "a", "value": 3}]}
    ]
    assert told(stored, third, "session_state_changed") == []
    assert stored.events(stored.run_of(second))[:2] == ["run_accepted", "session_state_changed"]


def test_fifty_runs_at_once_that_each_bring_a_key_lose_none(stored: Stored) -> None:
    session = new_id()
    first = call_in(stored, session)
    accepted = at_once(
        [
            lambda n=n: stored.accept(session_id=session, session_state={f"k{n}": n})  # type: ignore[misc]
            for n in range(RUNS)
        ]
    )
    assert not [one for one in accepted if isinstance(one, Exception)]
    assert state_of(stored, first) == {f"k{n}": n for n in range(RUNS)}
