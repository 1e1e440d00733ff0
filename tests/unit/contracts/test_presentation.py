"""Presentation: what an author declares, and the stricter of two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.contracts.policy import ComponentPolicy, Policy, ToolPolicy, differences
from kern.contracts.presentation import RISKS, Presentation, declared_presentation
from kern.errors import InvalidDefinition
from kern.values.bounds import Bounds
from kern.values.states import Effect, Risk

NAMES = ("order_id", "amount", "currency")

presentations = st.builds(
    Presentation,
    title=st.sampled_from([None, "Refund {amount}", "Pay back {amount}"]),
    risk=st.sampled_from(RISKS),
    confirm=st.sampled_from([None, "amount"]),
    edit_bounds=st.none()
    | st.dictionaries(
        st.sampled_from(NAMES), st.sampled_from([Bounds(), Bounds(only="down"), Bounds(at_most=1)])
    ),
)


def test_what_nobody_declares_is_of_normal_risk_and_low_for_what_only_reads() -> None:
    assert declared_presentation("It", NAMES, Effect.once) == Presentation()
    assert declared_presentation("It", NAMES, Effect.read).risk is Risk.low
    assert declared_presentation("It", NAMES, Effect.read, risk="high").risk is Risk.high


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"title": "Refund {order}"}, ("'order'", "title", "amount, currency, order_id")),
        ({"title": "Refund {order_id.x}"}, ("title", "plain name")),
        ({"title": 7}, ("7", "title")),
        ({"risk": "huge"}, ("'huge'", "'low', 'normal' or 'high'")),
        ({"consequence": " "}, ("consequence", "1,000")),
        ({"where_to_look": "x" * 1001}, ("where_to_look", "1,000")),
        ({"confirm": "sum"}, ("'sum'", "confirm", "order_id")),
        ({"subject": ["order_id"]}, ("order_id", "subject")),
        ({"amount": "sum"}, ("'sum'", "amount")),
        ({"unit": ""}, ("''", "unit")),
        ({"edit_bounds": {"sum": Bounds()}}, ("'sum'", "edit_bounds")),
        ({"edit_bounds": {"amount": "down"}}, ("'amount'", "'down'", "Bounds(")),
        ({"edit_bounds": ["amount"]}, ("edit_bounds", "dict")),
    ],
)
def test_a_refusal_names_the_owner_and_the_value_and_says_what_to_do(
    options: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        declared_presentation("The tool 'refund'", NAMES, Effect.once, **options)  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)


def test_an_option_that_there_is_not_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="'confrim'"):
        declared_presentation("It", NAMES, Effect.once, confrim="amount")  # type: ignore[call-arg]


@given(presentations, presentations)
def test_the_stricter_of_two_keeps_the_texts_of_the_first(
    first: Presentation, second: Presentation
) -> None:
    joined = first.stricter(second)
    assert joined.is_as_strict(second.stricter(first))
    assert joined.title == first.title
    for side in (first, second):
        assert RISKS.index(joined.risk) >= RISKS.index(side.risk)
        assert joined.confirm or not side.confirm
        assert (
            side.edit_bounds is None or (joined.edit_bounds or {}).keys() <= side.edit_bounds.keys()
        )


@given(presentations)
def test_a_presentation_is_as_strict_as_itself_and_survives_being_pinned(
    presentation: Presentation,
) -> None:
    assert presentation.stricter(presentation) == presentation
    tools = {"refund": ToolPolicy(presentation=presentation)}
    policy = Policy(components={"agent": ComponentPolicy(kind="agent", tools=tools)})
    assert Policy.read(policy.pinned) == policy


def test_a_policy_without_presentation_is_pinned_as_before() -> None:
    tools = {"refund": ToolPolicy()}
    policy = Policy(components={"agent": ComponentPolicy(kind="agent", tools=tools)})
    assert "presentation" not in str(policy.pinned)


@pytest.mark.parametrize(
    ("present", "texts"),
    [
        (Presentation(title="Other words", consequence="Other", where_to_look="There"), []),
        (Presentation(risk=Risk.high), ["refund (presentation)"]),
        (Presentation(confirm="amount"), ["refund (presentation)"]),
        (Presentation(edit_bounds={}), ["refund (presentation)"]),
    ],
)
def test_texts_are_no_difference_of_policies_and_what_asks_more_of_people_is(
    present: Presentation, texts: list[str]
) -> None:
    pinned = ComponentPolicy(kind="agent", tools={"refund": ToolPolicy()})
    executing = ComponentPolicy(kind="agent", tools={"refund": ToolPolicy(presentation=present)})
    assert differences(pinned, executing) == texts


def test_values_of_a_call_are_what_people_are_shown() -> None:
    presentation = declared_presentation(
        "It",
        NAMES,
        Effect.once,
        title="Refund {amount} {currency} for order {order_id}",
        confirm="amount",
        subject="order_id",
        amount="amount",
        unit="currency",
    )
    values = presentation.values_for({"order_id": "1042", "amount": 12500.0, "currency": "EUR"})
    assert values == ("Refund 12,500 EUR for order 1042", "12500", "1042", "12500", 5, "EUR")
    assert presentation.values_for({}) == ("Refund ? ? for order ?", None, None, None, None, None)
