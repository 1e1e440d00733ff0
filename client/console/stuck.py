"""What should be progressing and is not: since when, why, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kern.client.console.addresses import requirement_url, run_url
from kern.contracts.stuck import StuckItem, StuckReason, StuckReport, WorkerStatus

_WAITING = "Waiting, not stuck"
# By the reason: the heading of its card, and what to do.
_CARDS: dict[StuckReason, tuple[str, str]] = {
    StuckReason.no_worker: (
        "No worker",
        "Start one that has it. Everything accepted is kept until then.",
    ),
    StuckReason.not_started: ("Decided, not started", "A worker with a free slot takes it up."),
    StuckReason.not_executed: (
        "Decided, not executed",
        "The agent has heard of it, and may ask again.",
    ),
    StuckReason.not_delivered: (
        "Not delivered",
        "Workers keep trying; nothing that was accepted is lost.",
    ),
    StuckReason.unknown_outcome: ("Unknown outcomes", "Find out whether it happened, and say so."),
    StuckReason.deadline_passed: (
        "Deadline passed, not acted on",
        "A worker acts on it. Look whether one runs.",
    ),
    StuckReason.provider_away: (_WAITING, "It is asked again by itself."),
    StuckReason.queued: (_WAITING, "It begins when the run before it has ended."),
}


@dataclass(frozen=True)
class StuckRow:
    """One thing that is stuck.

    Attributes:
        title: What it is.
        text: What is known.
        advice: What to do.
        url: Where it is; None for nowhere.
        since: Since when.
    """

    title: str
    text: str
    advice: str
    url: str | None
    since: datetime


@dataclass(frozen=True)
class StuckCard:
    """Things that are stuck for the same reason.

    Attributes:
        note: What is behind the heading.
        continues: Whether it continues on its own: it is waiting, not stuck.
    """

    title: str
    items: list[StuckRow]
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


@dataclass(frozen=True)
class StuckView:
    """What the page of what is stuck shows.

    Attributes:
        count: How many things are stuck.
        has_deliveries: Whether who looks may see the deliveries to others.
        checked: How many runs were looked at.
        checked_at: When.
    """

    cards: list[StuckCard]
    workers: list[WorkerRow]
    count: int
    checked: int
    checked_at: datetime
    has_deliveries: bool = False


def stuck_view(report: StuckReport, *, has_deliveries: bool = False) -> StuckView:
    """Return what the page shows: a card for each reason for which something is stuck."""
    titles = dict.fromkeys(title for title, _ in _CARDS.values())
    cards = [_card(title, report.items, is_complete=report.is_complete) for title in titles]
    return StuckView(
        cards=[card for card in cards if card.items],
        workers=[_worker(item) for item in report.workers],
        count=report.count,
        checked=report.checked,
        checked_at=report.checked_at,
        has_deliveries=has_deliveries,
    )


def _card(title: str, items: Sequence[StuckItem], *, is_complete: bool) -> StuckCard:
    about = [item for item in items if _CARDS[item.reason][0] == title]
    if title == _WAITING:
        note = "continues on its own"
    elif title == _CARDS[StuckReason.unknown_outcome][0]:
        note = "also in the inbox"
    else:
        note = "" if is_complete else "the first of them"
    return StuckCard(title, [_row(item) for item in about], note, continues=title == _WAITING)


def _row(item: StuckItem) -> StuckRow:
    name = item.tool or item.component_id or "A run"
    url = None if item.run_id is None else run_url(item.run_id)
    if item.requirement_id is not None:
        url = requirement_url(item.requirement_id)
    more = f" ({item.count:,} alike)" if item.count > 1 else ""
    advice = _CARDS[item.reason][1]
    return StuckRow(f"{name}{more}", item.why.rstrip("."), advice, url, item.since)


def _worker(item: WorkerStatus) -> WorkerRow:
    return WorkerRow(
        item.name, tuple(item.components), item.version, item.seen_at, not item.is_present
    )
