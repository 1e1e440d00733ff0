"""Session state: what a tool did to it is told in full, and concurrent runs lose nothing."""

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.errors import InvalidInput
from kern.session_state import (
    SessionState,
    StateChange,
    StateEditor,
    apply_changes,
    changes_of,
    overwrites,
)
from kern.values.canonical import digest

KEYS = st.sampled_from(["a", "b", "c"])
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
STATES = st.dictionaries(KEYS, VALUES, max_size=3)
Act = Callable[[SessionState], object]


def incremented(key: str, by: int) -> Act:
    return lambda state: state.increment(key, by)


def appended(key: str, value: JsonValue) -> Act:
    return lambda state: state.append(key, value)


def set_to(key: str, value: JsonValue) -> Act:
    return lambda state: state.update({key: value})


def removed(key: str) -> Act:
    return lambda state: state.pop(key, None)


def mutated(key: str, value: JsonValue) -> Act:
    def act(state: SessionState) -> None:
        match state.get(key):
            case list() as items:
                items.append(value)
            case dict() as entries:
                entries["inner"] = value
            case _:
                pass

    return act


ACTS = st.one_of(
    st.builds(incremented, KEYS, st.integers(-9, 9)),
    st.builds(appended, KEYS, VALUES),
    st.builds(set_to, KEYS, VALUES),
    st.builds(removed, KEYS),
    st.builds(mutated, KEYS, VALUES),
)
COMMUTING = st.lists(
    st.one_of(
        st.builds(incremented, st.just("n"), st.integers(-9, 9)),
        st.builds(appended, st.just("log"), st.integers()),
    )
)


def as_json(state: dict[str, JsonValue]) -> str:
    return json.dumps(state, sort_keys=True)


def stored(state: SessionState) -> list[StateChange]:
    return [StateChange.model_validate_json(one.model_dump_json()) for one in state.changes()]


@given(STATES, st.lists(ACTS, max_size=8))
def test_the_changes_lead_from_the_state_before_to_the_state_after(
    before: dict[str, JsonValue], acts: list[Act]
) -> None:
    state = SessionState(before)
    for act in acts:
        try:
            act(state)
        except InvalidInput:
            continue
    assert as_json(apply_changes(before, stored(state))) == as_json(state)


@given(STATES)
def test_nothing_done_is_nothing_to_store(before: dict[str, JsonValue]) -> None:
    kept = copy.deepcopy(before)
    state = SessionState(before)
    assert state.changes() == []
    state["a"] = 1
    assert before == kept


@given(COMMUTING, COMMUTING)
def test_two_runs_at_once_lose_no_increment_and_no_append(one: list[Act], two: list[Act]) -> None:
    before: dict[str, JsonValue] = {"n": 1, "log": [0]}
    first, second = SessionState(before), SessionState(before)
    for act in one:
        act(first)
    for act in two:
        act(second)
    both = apply_changes(apply_changes(before, first.changes()), second.changes())
    turned = apply_changes(apply_changes(before, second.changes()), first.changes())
    alone = SessionState(before)
    for act in [*one, *two]:
        act(alone)
    assert both == alone
    assert both["n"] == turned["n"]
    assert sorted(map(repr, items(both))) == sorted(map(repr, items(turned)))


def items(state: dict[str, JsonValue]) -> list[JsonValue]:
    found = state["log"]
    assert isinstance(found, list)
    return found


def test_two_runs_at_once_keep_each_others_keys() -> None:
    before: dict[str, JsonValue] = {"mine": 1, "yours": 1, "gone": 1}
    first, second = SessionState(before), SessionState(before)
    first["mine"] = 2
    del second["gone"]
    second["yours"] = 2
    after = apply_changes(apply_changes(before, first.changes()), second.changes())
    assert after == {"mine": 2, "yours": 2}


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.0), ([1], [True])])
def test_a_change_of_type_alone_is_a_change(old: JsonValue, new: JsonValue) -> None:
    state = SessionState({"k": old})
    state["k"] = new
    after = apply_changes({"k": old}, state.changes())
    assert as_json(after) == as_json({"k": new})


@pytest.mark.parametrize(
    "assign",
    [
        lambda state: state.update({"k": 1}),
        lambda state: state.update([("k", 1)]),
        lambda state: state.update(k=1),
        lambda state: state.__setitem__("k", 1),
        lambda state: state.__ior__({"k": 1}),
        lambda state: (state.pop("k"), state.setdefault("k", 1)),
        lambda state: (state.popitem(), state.update(k=1)),
        lambda state: (state.clear(), state.update(k=1)),
        lambda state: (state.__delitem__("k"), state.increment("k")),
    ],
)
def test_setting_the_value_that_is_there_is_a_change(assign: Act) -> None:
    state = SessionState({"k": 1})
    assign(state)
    (change,) = state.changes()
    assert change == StateChange(op="set", key="k", value=1, seen=digest(1))
    assert overwrites({"k": 2}, change)


def test_what_was_set_and_deleted_again_is_deleted() -> None:
    state = SessionState({})
    state["k"] = 1
    del state["k"]
    assert state.changes() == [StateChange(op="delete", key="k", seen="")]


def test_reading_is_no_change() -> None:
    state = SessionState({"k": [1], "n": 1})
    assert state.setdefault("k", []) == [1]
    assert state.pop("none", None) is None
    assert (state | {"k": 1})["k"] == 1
    assert state.copy() == copy.copy(state) == copy.deepcopy(state) == {"k": [1], "n": 1}
    assert (state.changes(), copy.copy(state).changes()) == ([], [])


def _pickled(state: SessionState) -> SessionState:
    copied: SessionState = pickle.loads(pickle.dumps(state))  # noqa: S301  written a moment ago
    return copied


def test_a_copy_is_changed_for_itself() -> None:
    state = SessionState({"k": [1], "n": 1})
    for one in (copy.copy(state), copy.deepcopy(state), _pickled(state)):
        one["n"] = 2
        one.append("k", 2)
        assert [change.op for change in one.changes()] == ["append", "set"]
    assert state.changes() == []


@pytest.mark.parametrize("key", [5, None, (1,), b"k"])
def test_a_key_that_is_no_text_is_refused(key: object) -> None:
    state = SessionState({})
    state[key] = 1  # type: ignore[index]
    with pytest.raises(InvalidInput, match="is no text"):
        state.changes()


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: JsonValue = []
    for _ in range(150):
        deep = [deep]
    state = SessionState({"stored": deep})
    assert state.changes() == []
    with pytest.raises(InvalidInput, match="deeper than 100 levels"):
        state.append("log", deep)
    state["k"] = deep
    with pytest.raises(InvalidInput, match=r"'k' cannot be kept.*deeper than 100 levels"):
        state.changes()
    with pytest.raises(InvalidInput, match="deeper than 100 levels"):
        changes_of({"k": deep})


def test_a_key_that_is_set_and_then_appended_to_is_set() -> None:
    state = SessionState({"k": "text"})
    state["k"] = []
    state.append("k", 1)
    assert state.changes() == [StateChange(op="set", key="k", value=[1], seen=digest("text"))]


def test_what_is_appended_does_not_change_afterwards() -> None:
    entry: dict[str, JsonValue] = {"n": 1}
    state = SessionState({})
    state.append("log", entry)
    entry["n"] = 2
    assert apply_changes({}, state.changes()) == {"log": [{"n": 1}]}


@pytest.mark.parametrize("value", ["text", None, True, [1], {}])
def test_only_numbers_are_incremented(value: JsonValue) -> None:
    state = SessionState({"k": value})
    with pytest.raises(InvalidInput, match=r"'k'.*no number"):
        state.increment("k")
    assert state.changes() == []


def test_only_lists_are_appended_to() -> None:
    with pytest.raises(InvalidInput, match="'k' is 'text', which is no list"):
        SessionState({"k": "text"}).append("k", 1)


@pytest.mark.parametrize(
    "value",
    [datetime.now(UTC), float("nan"), {1: 2}, {"a": {3}}, object(), 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_json_is_refused_by_the_name_of_its_key(value: object) -> None:
    state = SessionState({})
    state["when"] = value  # type: ignore[assignment]
    with pytest.raises(InvalidInput, match="'when' holds what is not JSON"):
        state.changes()


def test_texts_are_cleaned_of_what_cannot_be_stored() -> None:
    state = SessionState({})
    state["te\x00xt"] = ["\ud800"]
    assert state.changes() == [StateChange(op="set", key="te\ufffdxt", value=["?"], seen="")]
    state.append("log", "\ud800")
    assert stored(state)[0].value == "?"


# What is stored when a change arrives that read `{"k": 1}`, and which changes then end something.
MET: list[tuple[dict[str, JsonValue], set[str]]] = [
    ({"k": 1}, set()),
    ({"k": 2}, {"set", "delete"}),
    ({"k": 1.0}, {"set", "delete"}),
    ({"k": 9}, {"delete"}),
    ({}, {"set"}),
]


@pytest.mark.parametrize(("stored", "ended_by"), MET)
def test_a_plain_change_knows_whether_it_meets_what_it_read(
    stored: dict[str, JsonValue], ended_by: set[str]
) -> None:
    state = SessionState({"k": 1})
    state["k"] = 9
    (change,) = state.changes()
    assert overwrites(stored, change) is ("set" in ended_by)
    del state["k"]
    (change,) = state.changes()
    assert overwrites(stored, change) is ("delete" in ended_by)


def test_a_change_that_was_stored_before_it_told_what_it_read_overwrites_nothing() -> None:
    old = StateChange.model_validate({"op": "set", "key": "k", "value": 1})
    assert not overwrites({"k": 5}, old)
    assert not overwrites({"k": 5}, StateChange(op="increment", key="k", value=1))


@pytest.mark.parametrize(
    ("before", "by"),
    [(1e308, 1e308), (0.5, 10**400), (10**5000, 1)],
    ids=["infinite", "no float", "too long"],
)
def test_a_sum_that_cannot_be_kept_is_refused(before: float, by: float) -> None:
    change = StateChange(op="increment", key="k", value=by)
    with pytest.raises(InvalidInput, match="cannot be incremented so far"):
        apply_changes({"k": before}, [change])


@pytest.mark.parametrize(
    ("op", "key", "value"),
    [("set", "k", (1, 2)), ("set", 5, 1), ("put", "k", 1), ("set", "k", object())],
)
def test_a_change_that_cannot_be_is_refused_in_a_sentence(
    op: str, key: object, value: object
) -> None:
    with pytest.raises(InvalidInput) as refused:
        StateChange.model_validate({"op": op, "key": key, "value": value})
    assert "validation error" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_whoever_gives_no_change_is_shown_one() -> None:
    with pytest.raises(InvalidInput, match=r"StateChange\(op='append', key='cart', value='lamp'\)"):
        changes_of([{"op": "append", "key": "cart", "value": "lamp"}])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "asked",
    [None, "text", 5, {"k": 10**5000}, {"k": float("nan")}],
    ids=["none", "text", "number", "too long", "nan"],
)
def test_changes_that_are_none_are_refused(asked: object) -> None:
    with pytest.raises(InvalidInput):
        changes_of(asked)  # type: ignore[arg-type]


def test_a_thousand_appends_cost_what_they_add() -> None:
    """Each appended to a list in place: a copy for each would cost the square of their number."""
    state = SessionState({"seen": [0]})
    seen = state["seen"]
    for number in range(1, 1000):
        state.append("seen", number)
    assert state["seen"] is seen
    changes = state.changes()
    assert [change.op for change in changes] == ["append"] * 999
    before: dict[str, JsonValue] = {"seen": [0], "other": [1]}
    editor = StateEditor(before)
    editor.apply(changes[0])
    grown = editor.state["seen"]
    for change in changes[1:]:
        editor.apply(change)
    assert editor.state["seen"] is grown
    assert grown == list(range(1000))
    # What it began with is as it was.
    assert before == {"seen": [0], "other": [1]}


def test_a_list_that_was_set_meanwhile_is_not_grown_in_place() -> None:
    value: list[JsonValue] = [5]
    editor = StateEditor({"a": [1]})
    editor.apply(StateChange(op="append", key="a", value=2))
    editor.apply(StateChange(op="set", key="a", value=value))
    editor.apply(StateChange(op="append", key="a", value=6))
    assert (editor.state["a"], value) == ([5, 6], [5])
