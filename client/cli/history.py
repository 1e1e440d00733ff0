"""Prints what people did about a requirement beside deciding it."""

from kern.client.cli.printing import say, show_time, styled
from kern.contracts.triage import HistoryEntry, HistoryKind
from kern.values.visible_text import plain

# What a run's report says elsewhere is not said again.
_VERBS = {
    HistoryKind.reminded: "reminded",
    HistoryKind.escalated: "escalated",
    HistoryKind.claimed: "claimed",
    HistoryKind.released: "given back",
    HistoryKind.delegated: "handed on",
    HistoryKind.snoozed: "put off",
    HistoryKind.woken: "taken up again",
    HistoryKind.commented: "comment",
}


def is_printed(entry: HistoryEntry) -> bool:
    """Whether an entry says what nothing else of a report does."""
    return entry.kind in _VERBS


def print_entry(entry: HistoryEntry) -> None:
    """Print an entry on a line of its own."""
    by = f" by {plain(entry.by, ',:()')}" if entry.by else ""
    to = f" to {', '.join(plain(name, ',:()') for name in entry.to)}" if entry.to else ""
    until = f" until {show_time(entry.until)}" if entry.until else ""
    text = f": {plain(entry.text)}" if entry.text else ""
    line = f"         {_VERBS[entry.kind]}{by}{to}{until}  {show_time(entry.at)}"
    say(styled(line, "dim"), text, exact_blanks=True)
