"""What is read of a requirement beside the requirement: comments, and what happened to it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

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
