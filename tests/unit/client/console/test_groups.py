"""Look-alikes: what differs is a column, each has its own digest, and money is summed exactly."""

from pydantic import JsonValue

from kern.client.console.facts import Facts
from kern.client.console.groups import group_of
from kern.requirements import Requirement
from tests.support.console_samples import requirement


def member(number: int, money: str | None, /, **arguments: JsonValue) -> tuple[Requirement, Facts]:
    item = requirement(
        id=f"r{number}",
        tool_name="credit_note",
        path=["billing", "monthly", "credit_note"],
        arguments={"currency": "EUR", **arguments},
    )
    return item, Facts(shape="s", amount=money, unit="EUR")


def test_what_differs_is_a_column_and_the_rest_is_said_once() -> None:
    group = group_of(
        [
            member(1, "0.10", customer="Kaya", amount=0.1),
            member(2, "0.20", customer="Lumen", amount=0.2),
        ]
    )
    assert group.columns == [("customer", False), ("amount", True)]
    assert group.call == 'credit_note(currency="EUR", customer=*, amount=*)'
    assert group.title == "2 similar calls of credit_note, 0.10 to 0.20 EUR"
    assert group.total == "0.30"
    assert group.where == "billing \u203a monthly"
    assert [row.cells for row in group.rows] == [["Kaya", 0.1], ["Lumen", 0.2]]
    assert [row.item for row in group.rows] == [
        f"r1:{group.rows[0].digest}",
        f"r2:{group.rows[1].digest}",
    ]
    assert group.rows[0].digest != group.rows[1].digest


def test_values_of_two_types_differ() -> None:
    group = group_of([member(1, None, a=1), member(2, None, a="1"), member(3, None, a=True)])
    assert group.columns == [("a", False)]
    assert group.total is None


def test_an_argument_that_one_of_them_lacks_is_a_column() -> None:
    group = group_of([member(1, "1"), member(2, "1", extra="x")])
    assert group.columns == [("extra", False)]
