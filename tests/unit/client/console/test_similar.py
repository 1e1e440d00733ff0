"""Similar decisions are summed up in words."""

import pytest

from kern.client.console.similar import similar_text
from kern.contracts.reports import SimilarDecisions

SOME = SimilarDecisions(
    tool="refund",
    band=5,
    unit="EUR",
    days=90,
    approved=9,
    edited=1,
    rejected=2,
    median_seconds=2_280,
)


@pytest.mark.parametrize(
    ("similar", "text"),
    [
        (
            SOME,
            (
                "refund from 10,000 to 99,999 EUR, in the last 90 days: 9 approved (1 after an "
                "edit), 2 rejected. Half took less than 38 min."
            ),
        ),
        (
            SOME.model_copy(update={"band": None, "unit": None, "is_cut": True, "edited": 0}),
            (
                "refund, in the latest 11 of the last 90 days: 9 approved, 2 rejected. Half took "
                "less than 38 min."
            ),
        ),
        (
            SOME.model_copy(update={"approved": 1, "edited": 0, "rejected": 0, "tool": None}),
            (
                "Such a step from 10,000 to 99,999 EUR, in the last 90 days: 1 approved, 0 "
                "rejected. It took 38 min."
            ),
        ),
    ],
)
def test_similar_decisions_in_words(similar: SimilarDecisions, text: str) -> None:
    assert similar_text(similar) == text
