"""What is stuck is counted; what waits is not."""

from kern.client.console.stuck import StuckCard, StuckItem, stuck_view, undelivered
from kern.contracts.reports import Backlog
from tests.support.console_places import stuck_page
from tests.support.console_samples import NOW


def test_what_waits_is_not_stuck_and_empty_cards_are_left_out() -> None:
    waiting = StuckCard("Waiting", [StuckItem("w")], continues=True)
    backlog = Backlog(pending=1, undelivered=0, oldest_undelivered=None)
    cards = [
        StuckCard("No worker", [StuckItem("a"), StuckItem("b")]),
        undelivered(backlog),
        waiting,
    ]
    view = stuck_view(cards, [], checked=3, checked_at=NOW)
    assert view.count == 2
    assert [card.title for card in view.cards] == ["No worker", "Waiting"]


def test_with_nothing_stuck_the_page_says_what_it_checked() -> None:
    page = stuck_page("x", empty=True)
    assert "Nothing is stuck" in page
    assert "Checked 4,212 open runs" in page
