"""What messages say: what waits for them, who asks, until when, and what silence does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kern.contracts.subscriptions import Subscription
from kern.requirements import Requirement
from kern.values.feed import FeedKind
from kern.values.states import OnExpiry, RequirementKind
from kern.values.visible_text import spelled

_LONGEST = 200
_SILENCE = {
    OnExpiry.reject: "it is rejected",
    OnExpiry.approve: "it is approved",
    OnExpiry.fail: "the run fails",
}
_ASKS = {
    RequirementKind.confirmation: "Approve or reject",
    RequirementKind.user_input: "Values are asked for",
    RequirementKind.user_feedback: "A choice is asked for",
    RequirementKind.external_execution: "A result is asked for",
    RequirementKind.output_review: "An output is to be reviewed",
    RequirementKind.error: "A step failed; what to do is asked for",
    RequirementKind.unknown_outcome: "Whether a call happened is unknown, and somebody must say",
}
_PREFIXES: dict[str, str] = {
    FeedKind.reminded: "Reminder: ",
    FeedKind.escalated: "Escalated to you: ",
}


@dataclass(frozen=True)
class WaitingItem:
    """Something that waits: what happened to it, the requirement, and where people see it."""

    kind: str
    requirement: Requirement
    requester: str | None
    link: str | None


@dataclass(frozen=True)
class Message:
    """A message as plain text."""

    title: str
    body: str


def message_of(items: Sequence[WaitingItem], subscription: Subscription) -> Message:
    """Return the message about what waits; of several items, one message that lists them."""
    texts = [_text_of(item, with_content=subscription.with_content) for item in items]
    if len(items) == 1:
        return Message(_title_of(items[0], with_content=subscription.with_content), texts[0])
    return Message(f"{len(items)} decisions wait for you", "\n\n".join(texts))


def _title_of(item: WaitingItem, *, with_content: bool) -> str:
    prefix = _PREFIXES.get(item.kind, "")
    return f"{prefix}{_subject_of(item.requirement, with_content=with_content)}"


def _subject_of(requirement: Requirement, *, with_content: bool) -> str:
    if with_content and requirement.title:
        return spelled(requirement.title)[:_LONGEST]
    return f"{requirement.tool_name or 'A run'} waits for a decision"


def _text_of(item: WaitingItem, *, with_content: bool) -> str:
    requirement = item.requirement
    lines = [
        _title_of(item, with_content=with_content),
        f"{_ASKS[requirement.kind]}. Risk: {requirement.risk}.",
    ]
    where = " > ".join(requirement.path)
    if where:
        lines.append(f"Asked by: {spelled(where)[:_LONGEST]}")
    if item.requester is not None:
        lines.append(f"For: {spelled(item.requester)[:_LONGEST]}")
    lines.append(_until(requirement))
    lines.append(
        f"Decide: {item.link}" if item.link else f"Look at it with: kern show {requirement.id}"
    )
    return "\n".join(lines)


def _until(requirement: Requirement) -> str:
    if requirement.due_at is None:
        return "There is no deadline: it waits until somebody decides."
    silence = _SILENCE[requirement.on_expiry]
    return f"Until {_time(requirement.due_at)}. If nobody decides, {silence}."


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
