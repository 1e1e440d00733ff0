"""Titles: plain names in braces, and values that nobody can misread."""

import pytest
from pydantic import JsonValue

from kern.errors import InvalidDefinition
from kern.values.titles import decimal_text, fields_of, rendered, value_after_edit, value_text

ARGUMENTS: dict[str, JsonValue] = {
    "amount": 12500.5,
    "count": 12500,
    "order_id": "10423",
    "price": "12500.00",
    "note": None,
    "paid": True,
    "lines": [1, 2],
}


def test_the_names_of_a_template_are_its_fields() -> None:
    assert fields_of("Refund {amount} {currency} {{now}}") == ["amount", "currency"]


@pytest.mark.parametrize(
    "template",
    [
        "{order.id}",
        "{order[0]}",
        "{amount!r}",
        "{amount:,}",
        "{}",
        "{0}",
        "{ amount }",
        "{amount",
        "amount}",
        "",
        "  ",
        "two\nlines {amount}",
        "hid\u200bden",
        "x" * 201,
    ],
)
def test_anything_but_plain_names_is_refused(template: str) -> None:
    with pytest.raises(InvalidDefinition, match="cannot be used"):
        fields_of(template)


@pytest.mark.parametrize(
    ("template", "title"),
    [
        ("Refund {amount}", "Refund 12,500.5"),
        ("Send {count} for {order_id}", "Send 12,500 for 10423"),
        ("Pay {price}", "Pay 12,500.00"),
        ("{note} and {missing}", "? and ?"),
        ("{paid}, {lines}, {{literal}}", "true, [1, 2], {literal}"),
    ],
)
def test_numbers_are_grouped_and_what_has_no_value_is_a_question_mark(
    template: str, title: str
) -> None:
    assert rendered(template, ARGUMENTS, amount="price") == title


@pytest.mark.parametrize(
    "value", ["a\u200bb", "a\nb", "a\u202eb", "p\u0430y", "a  b", " a", '"quoted', "a\x1b[31m"]
)
def test_a_value_that_could_be_misread_is_spelled_out(value: str) -> None:
    title = rendered("To {name}.", {"name": value}, amount=None)
    assert title.startswith('To "')
    assert title.isascii()
    assert title.isprintable()


def test_a_value_is_no_template() -> None:
    assert rendered("To {name}", {"name": "{amount}", "amount": 1}, amount=None) == "To {amount}"


def test_a_long_value_says_how_much_is_left_out() -> None:
    title = rendered("To {name}", {"name": "x" * 5_000}, amount=None)
    assert "more characters" in title
    assert len(title) < 200


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12500.0, "12500"),
        (12500, "12500"),
        (0.1, "0.1"),
        ("12500.00", "12500.00"),
        (-3.5, "-3.5"),
        (1e300, "1E+300"),
        ("much", None),
        (None, None),
        (True, None),
        ([1], None),
    ],
)
def test_an_amount_is_plain_digits(value: JsonValue, text: str | None) -> None:
    assert decimal_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("88-1", "88-1"), (12500.0, "12500"), (True, "true"), (None, None), ("a\u200bb", "a\\u200bb")],
)
def test_a_value_is_text_as_people_type_it(value: JsonValue, text: str | None) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("old", "typed", "new", "typed_after"),
    [(14250.0, "14250", 12000.5, "12000.5"), (0.1, "0.1", 30.0, "30"), ("a b", "a b", "c", "c")],
)
def test_of_an_edited_call_the_new_value_is_typed(
    old: JsonValue, typed: str, new: JsonValue, typed_after: str
) -> None:
    before: dict[str, JsonValue] = {"amount": old, "note": "x"}
    assert value_after_edit(typed, before, before | {"amount": new}) == typed_after
    assert value_after_edit(typed, before, before | {"note": "y"}) == typed
    assert value_after_edit(typed, before, before | {"amount": None}) == typed


def test_the_value_under_review_is_typed_where_it_is_not_clear_which_argument_it_is() -> None:
    before: dict[str, JsonValue] = {"amount": 14250, "fee": 14250}
    assert value_after_edit("14250", before, before | {"fee": 1}) == "14250"
    assert value_after_edit(None, before, before | {"fee": 1}) is None
