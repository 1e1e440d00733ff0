"""What lists say of a requirement in a line."""

from datetime import UTC, datetime

import pytest

from kern.client.cli.inbox import title_of
from kern.requirements import Requirement, RequirementKind, Risk


@pytest.mark.parametrize(
    ("title", "risk", "text"),
    [
        ("Refund 80 EUR", Risk.normal, "Refund 80 EUR"),
        ("Refund 80 EUR", Risk.high, "Refund 80 EUR (high risk)"),
        (None, Risk.high, "high risk"),
        (None, Risk.normal, ""),
        ("Re\u200bfund\n80", Risk.low, "Re\\u200bfund\\n80 (low risk)"),
        ('To "a\\u200bb"', Risk.normal, 'To "a\\u200bb"'),
    ],
)
def test_a_title_is_one_line_in_which_everything_can_be_seen(
    title: str | None, risk: Risk, text: str
) -> None:
    item = Requirement(
        id="r",
        run_id="run",
        session_id="s",
        kind=RequirementKind.confirmation,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        title=title,
        risk=risk,
    )
    assert title_of(item) == text
