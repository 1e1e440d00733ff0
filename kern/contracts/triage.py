"""What is read beside requirements: comments, what happened to one, and who is away."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

from kern.requirements import Requirement
from kern.values.deciders import REQUESTER, is_group
from kern.values.names import name_key
from kern.values.principals import Principal
from kern.values.states import Verdict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Comment(_Model):
    """What a person or a service wrote about a requirement, and when (UTC)."""

    id: str
    requirement_id: str
    by: Principal
    text: str
    at: datetime


class CommentPage(_Model):
    """A page of comments, the oldest first.

    Attributes:
        next_cursor: Where the next page begins; None at the end.
    """

    comments: list[Comment]
    next_cursor: str | None = None


class Snooze(_Model):
    """Until when somebody has put a requirement off (UTC)."""

    requirement_id: str
    until: datetime


class Absence(_Model):
    """Somebody is away, as they said themselves.

    It keeps nobody from deciding, and changes nobody who is asked.

    Attributes:
        by: Who is away.
        since: From when on (UTC).
        until: Until when (UTC); it is over by itself.
        note: What they say about it; people read it, models do not.
    """

    by: Principal
    since: datetime
    until: datetime
    note: str | None = None


class AbsencePage(_Model):
    """A page of those who are away, in the order in which they are back.

    Attributes:
        next_cursor: Where the next page begins; None at the end.
    """

    absences: list[Absence]
    next_cursor: str | None = None


class HistoryKind(StrEnum):
    """What happened to a requirement."""

    opened = "opened"
    reminded = "reminded"
    escalated = "escalated"
    claimed = "claimed"
    released = "released"
    delegated = "delegated"
    snoozed = "snoozed"
    woken = "woken"
    commented = "commented"
    decided = "decided"
    withdrawn = "withdrawn"
    expired = "expired"
    cancelled = "cancelled"
    not_executed = "not_executed"


class HistoryEntry(_Model):
    """Something that happened to a requirement.

    Attributes:
        by: The name of who did it; None for what Kern or the run did.
        text: The words of whoever did it: a comment, or the note of a decision or a delegation.
        at: When (UTC).
        verdict: What was decided.
        edit: The arguments that a decision changed.
        to: Whom it was handed or escalated to.
        until: Until when it is claimed or put off.
    """

    requirement_id: str
    kind: HistoryKind
    by: str | None = None
    text: str = ""
    at: datetime
    verdict: Verdict | None = None
    edit: dict[str, JsonValue] | None = None
    to: tuple[str, ...] = ()
    until: datetime | None = None


def named_keys(requirement: Requirement) -> frozenset[str]:
    """Return the keys of the people whom a requirement names to decide, groups left out."""
    entries = [*requirement.candidates, *(item.to for item in requirement.delegations)]
    names = [requirement.user_id if entry == REQUESTER else entry for entry in entries]
    return frozenset(name_key(name) for name in names if name and not is_group(name))


def away_until(absences: Iterable[Absence]) -> dict[str, datetime]:
    """Return until when people are away, by the keys of their names and ids.

    Of several who are named alike, the one who is back last counts.
    """
    moments: dict[str, datetime] = {}
    for absence in absences:
        for key in {name_key(absence.by.name), name_key(absence.by.subject)}:
            moments[key] = max(absence.until, moments.get(key, absence.until))
    return moments
