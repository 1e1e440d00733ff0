"""Subscriptions to the feed, and deliveries, as administrators see them: without any secret."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from kern.contracts.feed import FeedEntry
from kern.values.deciders import group_of, is_group
from kern.values.feed import FeedKind
from kern.values.names import name_key
from kern.values.states import PersonKind, Risk

# What a channel says without being asked for more: that somebody is waited for.
WAITING_KINDS = frozenset({FeedKind.opened, FeedKind.reminded, FeedKind.escalated})


class SubscriptionSort(StrEnum):
    """What is subscribed: a program by a webhook, or people by a channel such as mail."""

    webhook = "webhook"
    channel = "channel"


class DeliveryStatus(StrEnum):
    """How a delivery stands: `failed` was given up, `dropped` was out of date."""

    pending = "pending"
    delivered = "delivered"
    failed = "failed"
    dropped = "dropped"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Subscription(_Model):
    """Where entries of the feed are delivered.

    Attributes:
        address: The URL of a webhook; of a channel only its scheme, since the rest is secret.
        recipient: The person, or `group:` and a name, whom a channel reaches.
        digest_seconds: How long a channel collects before it says everything at once.
        kinds: Only entries of these kinds; empty for all, or for a channel those that wait.
        components: Only those of runs of these components; empty for all.
        tools: Only those about these tools; empty for all.
        risks: Only those of these risks; empty for all.
        with_content: Whether titles and subjects, which hold arguments, are sent too.
        old_secret_until: Until when the secret from before the last rotation signs too.
        disabled_at: Since when nothing is delivered any more.
    """

    id: str
    tenant: str
    sort: SubscriptionSort
    label: str
    address: str
    recipient: str | None = None
    digest_seconds: float | None = None
    kinds: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    risks: tuple[Risk, ...] = ()
    with_content: bool = False
    old_secret_until: datetime | None = None
    created_by: str
    created_at: datetime
    disabled_at: datetime | None = None
    disabled_why: str | None = None

    def includes(self, entry: FeedEntry) -> bool:
        """Whether an entry is delivered to it."""
        kinds = self.kinds or (WAITING_KINDS if self.sort is SubscriptionSort.channel else ())
        risks = tuple(risk.value for risk in self.risks)
        return (
            entry.tenant == self.tenant
            and _is_among(entry.kind, kinds)
            and _is_among(entry.component_id, self.components)
            and _is_among(entry.data.get("tool"), self.tools)
            and _is_among(entry.data.get("risk"), risks)
            and (self.recipient is None or _concerns(entry, self.recipient))
        )


class Delivery(_Model):
    """An entry of the feed on its way to a subscription.

    Attributes:
        id: Its id, which a webhook gets as `webhook-id`, the same in each attempt.
        seq: The number of the entry.
        next_at: When it is tried next, while it is pending.
        answer: The beginning of what the last attempt was answered, or why it had no answer.
    """

    id: str
    subscription_id: str
    seq: int
    kind: str
    requirement_id: str | None
    run_id: str
    status: DeliveryStatus
    attempts: int
    next_at: datetime
    tried_at: datetime | None
    answer_status: int | None
    answer: str | None
    delivered_at: datetime | None
    created_at: datetime


def _is_among(value: object, allowed: frozenset[FeedKind] | tuple[str, ...]) -> bool:
    return not allowed or value in allowed


def _concerns(entry: FeedEntry, recipient: str) -> bool:
    """Whether an entry is about what a person or a group may decide."""
    entries = frozenset(_entries_of(recipient))
    if entry.kind == FeedKind.escalated:
        added = entry.data.get("to")
        keys = {name_key(str(name)) for name in added} if isinstance(added, list) else set()
        return name_key(recipient) in keys
    audience = entry.audience
    return not audience.deciding.isdisjoint(entries) and audience.excluded.isdisjoint(entries)


def _entries_of(recipient: str) -> list[tuple[str, str]]:
    anybody = (PersonKind.anybody.value, "")
    if is_group(recipient):
        return [anybody, (PersonKind.group.value, name_key(group_of(recipient)))]
    key = name_key(recipient)
    return [anybody, (PersonKind.person.value, key), (PersonKind.requester.value, key)]


class NewWebhook(_Model):
    """A webhook whose secret was just made: it is shown this once."""

    webhook: Subscription
    secret: str


class SubscriptionFilter(_Model):
    """Of which entries of the feed a subscription hears; what is empty filters nothing."""

    kinds: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
