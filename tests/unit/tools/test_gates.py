"""Gates: a call runs without a person only where a predicate said False."""

import asyncio
from collections.abc import Callable

import pytest

from kern.tools import Predicate, Tool
from kern.tools.gates import gate_of
from kern.values.states import RequirementKind

ARGUMENTS: dict[str, object] = {"order_id": "1042", "amount": 80.0}


def refund(order_id: str, amount: float) -> None:
    """Pay back."""


def gates(predicate: Predicate, arguments: dict[str, object] | None = None) -> bool:
    given = ARGUMENTS if arguments is None else arguments
    kind = gate_of(Tool(refund, requires_confirmation=predicate), given)
    assert kind in {None, RequirementKind.confirmation}
    return kind is not None


def fail(error: BaseException) -> Callable[..., object]:
    def predicate(amount: float) -> bool:
        raise error

    return predicate


async def later(amount: float) -> bool:
    return False


def by_all(**arguments: object) -> bool:
    return arguments != ARGUMENTS


def with_default(amount: float, limit: float = 100) -> bool:
    return amount > limit


def test_a_flag_gates_every_call() -> None:
    always = Tool(refund, requires_confirmation=True)
    assert gate_of(always, ARGUMENTS) is RequirementKind.confirmation
    assert gate_of(Tool(refund), ARGUMENTS) is None


@pytest.mark.parametrize(
    "predicate",
    [
        lambda arguments: arguments["amount"] > 100,
        lambda amount: amount > 100,
        lambda amount, order_id: order_id == "other" or amount > 100,
        lambda order_id: not order_id,
        with_default,
        by_all,
    ],
)
def test_a_predicate_is_asked_by_dict_or_by_name(predicate: Predicate) -> None:
    assert not gates(predicate)
    assert gates(predicate, {"order_id": "", "amount": 800.0}) or predicate is by_all


@pytest.mark.parametrize("answer", [True, None, 0, 1, "", "no", [], 0.0])
def test_only_false_itself_lets_a_call_run(answer: object) -> None:
    assert gates(lambda amount: answer)


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), KeyError("x"), SystemExit(3), KeyboardInterrupt(), RecursionError()],
)
def test_a_predicate_that_raises_gates(error: BaseException) -> None:
    assert gates(fail(error))


def test_a_predicate_with_a_misspelled_argument_gates() -> None:
    assert gates(lambda amuont: amuont > 100)
    assert gates(lambda amount, order: amount > 100)
    assert gates(lambda: False)
    # An unequal value would say False to these, and let every call run.
    assert gates(lambda amuont: amuont == 100)
    assert gates(lambda order: order in {"1042", "1043"})
    assert gates(lambda order: order != "1042")


def test_an_async_predicate_gates_and_leaves_no_warning() -> None:
    assert gates(later)


async def test_an_async_predicate_gates_inside_a_loop_as_well() -> None:
    assert gates(later)
    await asyncio.sleep(0)


def test_a_predicate_cannot_change_what_was_asked() -> None:
    arguments = dict(ARGUMENTS)
    gates(lambda given: given.clear(), arguments)
    assert arguments == ARGUMENTS


def test_a_tool_of_one_argument_is_asked_by_dict_unless_the_predicate_names_it() -> None:
    def pay(amount: float) -> None: ...

    by_dict = Tool(pay, requires_confirmation=lambda given: given["amount"] > 100)
    by_name = Tool(pay, requires_confirmation=lambda amount: amount > 100)
    for one in (by_dict, by_name):
        assert gate_of(one, {"amount": 5}) is None
        assert gate_of(one, {"amount": 500}) is RequirementKind.confirmation


def test_other_gates_ask_no_predicate() -> None:
    assert gate_of(Tool(refund, external_execution=True), {}) is RequirementKind.external_execution
    assert gate_of(Tool(refund, requires_user_input=True), {}) is RequirementKind.user_input
