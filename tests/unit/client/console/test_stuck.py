"""What is stuck is counted; what waits is not."""

from kern.client.console.stuck import stuck_view
from kern.contracts.stuck import StuckItem, StuckReason, StuckReport
from tests.support.console_places import stuck_page
from tests.support.console_samples import NOW


def item(reason: StuckReason) -> StuckItem:
    return StuckItem(reason=reason, tool="pay", since=NOW, why="Nobody knows.")


def test_what_waits_is_not_stuck_and_empty_cards_are_left_out() -> None:
    reasons = [StuckReason.no_worker, StuckReason.queued, StuckReason.no_worker]
    report = StuckReport(
        checked_at=NOW,
        checked=3,
        items=[item(reason) for reason in reasons],
        is_complete=True,
        workers=[],
    )
    view = stuck_view(report)
    assert view.count == 2
    assert [card.title for card in view.cards] == ["No worker", "Waiting, not stuck"]


def test_with_nothing_stuck_the_page_says_what_it_checked() -> None:
    page = stuck_page("x", empty=True)
    assert "Nothing is stuck" in page
    assert "Checked 4,212 open runs" in page


def test_every_reason_has_a_card() -> None:
    page = stuck_page("x")
    for reason in StuckReason:
        assert page.count("What is known: x") == len(StuckReason), reason
