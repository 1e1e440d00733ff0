"""What people did about a decision beside deciding it, as its page says it."""

from collections.abc import Iterable

from kern.client.console.history import Event
from kern.client.console.times import clock, day
from kern.contracts.triage import HistoryEntry, HistoryKind

# Asked, decided and what closed it stand there already.
_TITLES = {
    HistoryKind.reminded: "Reminded",
    HistoryKind.escalated: "Escalated",
    HistoryKind.claimed: "Claimed",
    HistoryKind.released: "Released",
    HistoryKind.delegated: "Handed on",
    HistoryKind.snoozed: "Put off",
    HistoryKind.woken: "Taken up again",
    HistoryKind.commented: "Comment",
}


def events_of(entries: Iterable[HistoryEntry]) -> list[Event]:
    """Return the events that a page shows beside the decisions."""
    return [_event(entry) for entry in entries if entry.kind in _TITLES]


def _event(entry: HistoryEntry) -> Event:
    parts = [f"by {entry.by}"] if entry.by else []
    parts += [f"to {', '.join(entry.to)}"] if entry.to else []
    if entry.until is not None:
        parts.append(f"until {day(entry.until, entry.at)}, {clock(entry.until)} UTC")
    return Event(_TITLES[entry.kind], " ".join(parts), entry.at, entry.text or None)
