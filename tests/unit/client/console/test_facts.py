"""Amounts are numbers with every digit, and the version under review is the edited one."""

import pytest

from kern.client.console.facts import Facts, arguments_of, digest_of, is_edited
from tests.support.console_samples import dangerous, requirement


@pytest.mark.parametrize(
    ("amount", "money"),
    [
        ("12500", "12,500.00 EUR"),
        ("0.125", "0.125 EUR"),
        ("24.9", "24.90 EUR"),
        ("1e3", "1,000.00 EUR"),
        ("NaN", None),
        ("much", None),
        (None, None),
    ],
)
def test_money(amount: str | None, money: str | None) -> None:
    assert Facts(amount=amount, unit="EUR").money == money


def test_the_version_under_review_is_the_edited_one() -> None:
    item, facts = dangerous()
    assert arguments_of(item, facts)["amount"] == 12500
    assert digest_of(item, facts) == facts.current_digest
    assert is_edited(item, facts)


def test_nobody_has_edited_what_is_as_it_was() -> None:
    item = requirement()
    assert arguments_of(item, Facts()) == item.arguments
    assert digest_of(item, Facts()) == item.digest
    assert not is_edited(item, Facts(current_arguments=dict(item.arguments)))
