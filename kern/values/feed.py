"""What the feed says: the kinds of its entries, and the events that browsers are sent for them."""

from enum import StrEnum


class FeedKind(StrEnum):
    """What happened.

    About a requirement: `opened`; `approved`, which was not enough; `resolved`; `withdrawn`, after
    which it is open; `reminded`; `escalated`; `expired`; `cancelled`. Then about the call that it
    let run: `delivered`, `executing`, `done`, `unknown`, `not_executed`. About a run that no other
    run started: `run_completed`, `run_failed`, `run_cancelled`.
    """

    opened = "opened"
    approved = "approved"
    resolved = "resolved"
    withdrawn = "withdrawn"
    reminded = "reminded"
    escalated = "escalated"
    expired = "expired"
    cancelled = "cancelled"
    delivered = "delivered"
    executing = "executing"
    done = "done"
    unknown = "unknown"
    not_executed = "not_executed"
    run_completed = "run_completed"
    run_failed = "run_failed"
    run_cancelled = "run_cancelled"


_CLOSING = frozenset({FeedKind.resolved, FeedKind.expired, FeedKind.cancelled})
# After these, more or less waits for somebody than before.
COUNTED = frozenset(
    {*_CLOSING, FeedKind.opened, FeedKind.approved, FeedKind.withdrawn, FeedKind.escalated}
)


def event_of(kind: str) -> str:
    """Return the event that a page hears: `opened`, `resolved`, or `state` for all else."""
    if kind == FeedKind.opened:
        return "opened"
    return "resolved" if kind in _CLOSING else "state"
