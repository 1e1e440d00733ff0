"""What tools leave behind at its worst: a call that was executed is done all the same, once."""

from collections.abc import Callable, Iterator

import pytest
from pydantic import JsonValue

from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call
from kern.session_state import SessionState
from kern.tools import RunContext, tool
from kern.values.states import RunStatus, ToolOutcome
from tests.support.agents import Ledger, scripted

NOT_KEPT = "Its changes of the session's state were not kept: "


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError


class Odd(str):
    """A text whose own code leaves the process."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        raise SystemExit(3)


def nested(levels: int) -> JsonValue:
    value: JsonValue = []
    for _ in range(levels):
        value = [value]
    return value


def leaving() -> Iterator[int]:
    yield 1
    raise SystemExit(3)


def keyed(key: object) -> Callable[[SessionState], None]:
    def leave(state: SessionState) -> None:
        state[key] = 1  # type: ignore[index]

    return leave


def holding(value: object) -> Callable[[SessionState], None]:
    def leave(state: SessionState) -> None:
        state["a"] = value  # type: ignore[assignment]

    return leave


STATES = {
    "number as key": keyed(5),
    "None as key": keyed(None),
    "too long a number": holding(10**5000),
    "no repr": holding(Mute()),
    "deep": holding(nested(250)),
    "a key with code": keyed(Odd("k")),
}


@pytest.mark.parametrize("effect", ["once", "idempotent"])
@pytest.mark.parametrize("leave", STATES.values(), ids=STATES)
def test_a_call_is_executed_once_whatever_it_leaves_in_the_state(
    runtime: Runtime, ledger: Ledger, leave: Callable[[SessionState], None], effect: str
) -> None:
    _check(ledger, leave, effect)


@pytest.mark.parametrize("name", ["number as key", "too long a number", "deep"])
def test_so_it_is_on_every_database(runtime_on_each: Runtime, ledger: Ledger, name: str) -> None:
    _check(ledger, STATES[name], "idempotent")


def _check(ledger: Ledger, leave: Callable[[SessionState], None], effect: str) -> None:
    @tool(effect=effect)  # type: ignore[call-overload, untyped-decorator, unused-ignore]
    def pay(run_context: RunContext) -> str:
        """Pay."""
        ledger.add("paid")
        run_context.session_state["kept"] = 1
        leave(run_context.session_state)
        return "paid"

    output = scripted([Call("pay"), "Done."], [pay]).run("Pay")
    assert output.status is RunStatus.completed
    assert ledger.lines == ["paid"]
    assert output.tools[0].outcome is ToolOutcome.result
    assert (output.tools[0].result or "").startswith(f"paid\n\n{NOT_KEPT}")
    assert output.session_state == {}
    assert output.requirements == []


@pytest.mark.parametrize("effect", ["once", "idempotent"])
@pytest.mark.parametrize("value", [Odd("x"), leaving, Mute()], ids=["text", "iterator", "mute"])
def test_a_call_is_executed_once_whatever_it_returns(
    runtime: Runtime, ledger: Ledger, value: object, effect: str
) -> None:
    @tool(effect=effect)  # type: ignore[call-overload, untyped-decorator, unused-ignore]
    def pay() -> object:
        """Pay."""
        ledger.add("paid")
        return value() if callable(value) else value

    output = scripted([Call("pay"), "Done."], [pay]).run("Pay")
    assert output.status is RunStatus.completed
    assert ledger.lines == ["paid"]
    assert output.tools[0].outcome is ToolOutcome.result
    assert output.tools[0].result
