"""What should be progressing and is not: since when, why, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kern.client.console.facts import Facts
from kern.client.console.requirement import requirement_url, title_of
from kern.client.console.runs import run_url
from kern.contracts.reports import AwaitedWorker, Backlog, ParkedRuns
from kern.requirements import Requirement


@dataclass(frozen=True)
class StuckItem:
    """One thing that is stuck.

    Attributes:
        title: What it is.
        text: What is known.
        advice: What to do.
        url: Where it is; None for nowhere.
        command: What to type; None for nothing.
        since: Since when.
    """

    title: str
    text: str = ""
    advice: str = ""
    url: str | None = None
    command: str | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class StuckCard:
    """Things that are stuck for the same reason.

    Attributes:
        note: What is behind the heading.
        continues: Whether it continues on its own: it is waiting, not stuck.
    """

    title: str
    items: list[StuckItem]
    note: str = ""
    continues: bool = False


@dataclass(frozen=True)
class WorkerRow:
    """A worker: what it serves, and when it was last seen."""

    name: str
    components: tuple[str, ...]
    release: str
    seen_at: datetime
    is_lost: bool = False
    slots: str = ""


@dataclass(frozen=True)
class StuckView:
    """What the page of what is stuck shows.

    Attributes:
        checked: How many runs were looked at.
        checked_at: When.
    """

    cards: list[StuckCard]
    workers: list[WorkerRow]
    checked: int
    checked_at: datetime

    @property
    def count(self) -> int:
        """How many things are stuck; what waits is none of them."""
        return sum(len(card.items) for card in self.cards if not card.continues)


def stuck_view(
    cards: Sequence[StuckCard],
    workers: Sequence[WorkerRow],
    *,
    checked: int,
    checked_at: datetime,
) -> StuckView:
    """Return what the page shows; cards without items are left out."""
    return StuckView([card for card in cards if card.items], list(workers), checked, checked_at)


def missing_workers(
    awaited: Sequence[AwaitedWorker], parked: Sequence[ParkedRuns] = ()
) -> StuckCard:
    """Return the card of what no living worker has."""
    items = [
        StuckItem(
            f"No running worker has {item.missing}",
            f"A run of {item.component_id} waits for it.",
            "Start one. Everything accepted is kept until then.",
            run_url(item.run_id),
            f"kern worker --app APP  # with {item.missing}",
            item.since,
        )
        for item in awaited
    ]
    items += [
        StuckItem(
            f"No running worker serves {item.component_id}",
            f"{item.count:,} parked runs could not continue.",
            "Start one before they are decided.",
            None,
            None,
            item.oldest,
        )
        for item in parked
    ]
    return StuckCard("No worker", items)


def undelivered(backlog: Backlog) -> StuckCard:
    """Return the card of decisions and runs that have not reached Temporal."""
    count = backlog.undelivered
    noun = "message has" if count == 1 else "messages have"
    item = StuckItem(
        f"{count:,} {noun} not reached Temporal",
        "A relay keeps trying; nothing that was accepted is lost.",
        since=backlog.oldest_undelivered,
    )
    return StuckCard("Not delivered", [item] if count else [])


def unknown_outcomes(requirements: Sequence[Requirement]) -> StuckCard:
    """Return the card of calls of which nobody knows whether they happened."""
    items = [
        StuckItem(
            title_of(item, Facts()),
            "" if item.attempt is None else item.attempt.sentence,
            "",
            requirement_url(item.id),
            None,
            item.created_at,
        )
        for item in requirements
    ]
    return StuckCard("Unknown outcomes", items, "also in the inbox")


def not_executed(requirements: Sequence[Requirement]) -> StuckCard:
    """Return the card of approved calls that were not executed."""
    items = [
        StuckItem(
            title_of(item, Facts()),
            item.not_executed or "",
            "The agent has heard of it, and may ask again.",
            requirement_url(item.id),
            None,
            None if item.resolution is None else item.resolution.at,
        )
        for item in requirements
    ]
    return StuckCard("Decided, not executed", items)
