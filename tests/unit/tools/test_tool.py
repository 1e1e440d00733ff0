"""Tools: options that contradict each other are refused when the tool is declared."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import pytest

from kern.errors import InvalidDefinition
from kern.tools import Approval, Tool, ask_user, tool
from kern.tools.tool import as_tool, tool_definition
from kern.values.states import Effect, OnExpiry, RequirementKind


def refund(order_id: str, amount: float = 1.0) -> str:
    """Pay back."""
    return f"{order_id}: {amount}"


def ask(options: list[str]) -> None:
    """Ask."""


def made(**options: object) -> Tool:
    return Tool(refund, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"name": "no spaces"}, "letters, digits"),
        ({"name": "x" * 65}, "64"),
        (
            {"requires_confirmation": True, "external_execution": True},
            "confirmation, external_execution at once",
        ),
        ({"requires_user_input": True, "requires_confirmation": len}, "at once: choose one"),
        ({"retries": -1, "effect": "read"}, "negative retries"),
        ({"retries": 1}, "may not be repeated.*idempotent"),
        ({"edit_bounds": {}}, "edit_bounds= but waits for nobody"),
        ({"title": "Refund {order}"}, "'order' in its title, which is none of its arguments"),
        ({"confirm": "run_context"}, "'run_context' in its confirm"),
        ({"effect": "twice"}, "'twice': use 'once', 'idempotent' or 'read'"),
        ({"timeout": 0}, "above 0 as its timeout"),
        ({"requires_user_feedback": True}, "options: list"),
        ({"user_input_fields": ["nope"]}, "asks for nope"),
        ({"user_input_fields": ["run_context"]}, "asks for run_context"),
        ({"approval": Approval(candidates=("dana",))}, "waits for nobody.*requires_confirmation"),
        ({"agent_suggests": True}, "asks nobody for values.*requires_user_input"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: Mapping[str, object], why: str
) -> None:
    with pytest.raises(InvalidDefinition, match=why):
        made(**options)


@pytest.mark.parametrize(
    ("approval", "why"),
    [
        (Approval(quorum=0), "quorum of at least 1"),
        (Approval(due=timedelta(0)), "deadline in the future"),
        (Approval(candidates=("a", "b"), excluded=("b",), quorum=2), "more approvals"),
        (Approval(candidates=("a",), excluded=("a",)), "more approvals"),
        (Approval(candidates=("a", "a"), quorum=2), "more approvals"),
    ],
)
def test_an_approval_that_nobody_can_give_is_refused(approval: Approval, why: str) -> None:
    with pytest.raises(InvalidDefinition, match=why):
        made(requires_confirmation=True, approval=approval)


@pytest.mark.parametrize(
    "approval", [Approval(due=timedelta(1), on_expiry=OnExpiry.approve), Approval(quorum=2)]
)
def test_silence_and_quorums_fit_confirmations_alone(approval: Approval) -> None:
    assert made(requires_confirmation=True, approval=approval).approval is approval
    for other in ("requires_user_input", "external_execution"):
        with pytest.raises(InvalidDefinition, match="confirmation"):
            made(approval=approval, **{other: True})


def test_an_approval_takes_no_word_that_it_does_not_know() -> None:
    with pytest.raises(InvalidDefinition, match="candidate"):
        Approval(candidate=("dana",))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, None),
        ({"requires_confirmation": True}, RequirementKind.confirmation),
        ({"requires_confirmation": lambda args: False}, RequirementKind.confirmation),
        ({"requires_user_input": True}, RequirementKind.user_input),
        ({"user_input_fields": ["amount"]}, RequirementKind.user_input),
        ({"external_execution": True}, RequirementKind.external_execution),
    ],
)
def test_what_a_call_may_wait_for(
    options: Mapping[str, object], kind: RequirementKind | None
) -> None:
    assert tool_definition(made(**options)).kind is kind


def test_the_model_does_not_see_what_a_person_fills_in() -> None:
    definition = tool_definition(made(user_input_fields=["order_id"]))
    assert definition.input_fields == ("order_id",)
    properties = cast("dict[str, object]", definition.spec.parameters["properties"])
    assert list(properties) == ["amount"]
    assert definition.spec.parameters["required"] == []
    whole = tool_definition(made(requires_user_input=True))
    assert whole.input_fields == ("order_id", "amount")


def test_the_model_may_suggest_what_a_person_fills_in() -> None:
    definition = tool_definition(made(user_input_fields=["amount"], agent_suggests=True))
    properties = cast("dict[str, dict[str, Any]]", definition.spec.parameters["properties"])
    assert list(properties) == ["order_id", "suggestions"]
    assert definition.spec.parameters["required"] == ["order_id"]
    (suggested,) = properties["suggestions"]["properties"].items()
    name, shape = suggested
    assert (name, shape["properties"]["value"]["type"]) == ("amount", "number")
    with pytest.raises(InvalidDefinition, match="takes 'suggestions' itself"):

        @tool(requires_user_input=True, agent_suggests=True)
        def suggest(suggestions: str) -> None:
            """Suggest."""


def test_the_decorator_works_with_and_without_parentheses() -> None:
    plain, named = tool(refund), tool(name="pay", effect="read", retries=2)(refund)
    assert (plain.name, plain.description, plain.effect) == ("refund", "Pay back.", Effect.once)
    assert (named.name, named.effect, named.retries) == ("pay", Effect.read, 2)
    assert plain("7", amount=2.0) == "7: 2.0"


def test_a_plain_function_becomes_a_tool_without_gates() -> None:
    assert tool_definition(as_tool(refund)).kind is None
    assert as_tool(ask_user) is ask_user


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(InvalidDefinition, match="needs a name"):
        Tool(lambda order_id: order_id)


def test_ask_user_is_answered_by_a_person() -> None:
    definition = tool_definition(ask_user)
    assert definition.kind is RequirementKind.user_feedback
    assert set(definition.signature.names) == {"question", "options", "multiple"}


def test_options_count_where_the_function_is_passed_with_them() -> None:
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    gated = tool(pay, requires_confirmation=True, effect="idempotent", retries=2)
    assert isinstance(gated, Tool)
    assert tool_definition(gated).kind is RequirementKind.confirmation
    assert (gated.effect, gated.retries) == (Effect.idempotent, 2)
    with pytest.raises(InvalidDefinition, match="negative retries"):
        tool(pay, retries=-1)
