"""Bands of amounts: what is about as much as something else."""

import pytest

from kern.values.amounts import amount_band, band_text


@pytest.mark.parametrize(
    ("amount", "band", "text"),
    [
        ("0", 0, "under 1"),
        ("0.99", 0, "under 1"),
        ("1", 1, "from 1 to 9"),
        ("9.99", 1, "from 1 to 9"),
        ("10", 2, "from 10 to 99"),
        ("12500.00", 5, "from 10,000 to 99,999"),
        ("-12500", -5, "from -10,000 to -99,999"),
        ("1" + "0" * 40, 15, "of 100,000,000,000,000 or more"),
    ],
)
def test_amounts_with_as_many_digits_are_about_as_much(amount: str, band: int, text: str) -> None:
    assert amount_band(amount) == band
    assert band_text(band) == text


@pytest.mark.parametrize("amount", [None, "", "much", "NaN", "Infinity"])
def test_what_is_no_amount_is_in_no_band(amount: str | None) -> None:
    assert amount_band(amount) is None
