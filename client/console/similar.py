"""What people decided about calls like one, in two sentences."""

from datetime import timedelta

from kern.client.console.times import length
from kern.contracts.reports import SimilarDecisions
from kern.values.amounts import band_text


def similar_text(similar: SimilarDecisions) -> str:
    """Return how calls like one were decided, and how long half of them took."""
    name = similar.tool or "Such a step"
    unit = f" {similar.unit}" if similar.unit else ""
    amount = "" if similar.band is None else f" {band_text(similar.band)}{unit}"
    count = similar.approved + similar.rejected
    when = f"the last {similar.days} days"
    scope = f"the latest {count:,} of {when}" if similar.is_cut else when
    edited = f" ({similar.edited:,} after an edit)" if similar.edited else ""
    half = length(timedelta(seconds=similar.median_seconds))
    speed = f"Half took less than {half}." if count > 1 else f"It took {half}."
    return (
        f"{name}{amount}, in {scope}: {similar.approved:,} approved{edited}, "
        f"{similar.rejected:,} rejected. {speed}"
    )
