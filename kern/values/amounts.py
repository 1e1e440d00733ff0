"""Bands of amounts: what is about as much as something else."""

from decimal import Decimal, InvalidOperation

# Beyond so many digits, everything is in the last band.
_MOST_DIGITS = 15


def amount_band(amount: str | None) -> int | None:
    """Return how many digits an amount has before the point; below 0 with a minus sign.

    0 is for what is less than 1. None without an amount, or for one that is no number.
    """
    try:
        value = Decimal(amount or "")
    except InvalidOperation:
        return None
    if not value.is_finite():
        return None
    digits = min(max(value.adjusted() + 1, 0), _MOST_DIGITS) if value else 0
    return -digits if value < 0 else digits


def band_text(band: int) -> str:
    """Return a band for people, such as `from 10,000 to 99,999`; amounts between belong to it."""
    digits, sign = abs(band), "-" if band < 0 else ""
    if digits == 0:
        return "under 1"
    least, most = 10 ** (digits - 1), 10**digits - 1
    if digits == _MOST_DIGITS:
        return f"of {sign}{least:,} or more"
    return f"from {sign}{least:,} to {sign}{most:,}"
