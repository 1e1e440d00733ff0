"""Webhooks and channels, and how each delivery ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kern.client.console.addresses import DELIVERIES, requirement_url, run_url, with_query
from kern.client.console.inbox import Tab
from kern.client.console.states import Style
from kern.contracts.subscriptions import (
    Delivery,
    DeliveryStatus,
    Subscription,
    SubscriptionSort,
)

_STYLES: dict[DeliveryStatus, Style] = {
    DeliveryStatus.pending: "wait",
    DeliveryStatus.delivered: "good",
    DeliveryStatus.failed: "bad",
    DeliveryStatus.dropped: "",
}


@dataclass(frozen=True)
class SubscriptionRow:
    """A webhook or a channel.

    Attributes:
        what: Which of them it is.
        target: Where it leads; of a channel, whom it reaches and by what.
        disabled: Why nothing is delivered any more; empty while it is.
    """

    label: str
    what: str
    target: str
    url: str
    is_current: bool
    created_by: str
    created_at: datetime
    disabled: str


@dataclass(frozen=True)
class DeliveryRow:
    """An entry of the feed on its way.

    Attributes:
        answer: What the last attempt was answered.
        can_replay: Whether it can be sent again: nothing is sent where a webhook is off.
    """

    id: str
    seq: int
    kind: str
    about_url: str
    to: str
    status: str
    style: Style
    attempts: int
    next_at: datetime | None
    tried_at: datetime | None
    answer: str
    can_replay: bool


@dataclass(frozen=True)
class DeliveriesView:
    """What the page of deliveries shows."""

    subscriptions: list[SubscriptionRow]
    rows: list[DeliveryRow]
    tabs: list[Tab]


def deliveries_view(
    subscriptions: Sequence[Subscription],
    deliveries: Sequence[Delivery],
    *,
    tabs: Sequence[Tab] = (),
    current: str = "",
) -> DeliveriesView:
    """Return what the page of deliveries shows.

    Args:
        subscriptions: The webhooks and channels.
        deliveries: The latest deliveries, in order.
        tabs: The statuses to choose from.
        current: The id of the only subscription whose deliveries are shown; empty for all.
    """
    labels = {item.id: item.label for item in subscriptions}
    active = {item.id for item in subscriptions if item.disabled_at is None}
    return DeliveriesView(
        [_subscription(item, item.id == current) for item in subscriptions],
        [
            _delivery(item, labels.get(item.subscription_id, ""), item.subscription_id in active)
            for item in deliveries
        ],
        list(tabs),
    )


def _subscription(item: Subscription, is_current: bool) -> SubscriptionRow:  # noqa: FBT001  one call
    is_webhook = item.sort is SubscriptionSort.webhook
    return SubscriptionRow(
        label=item.label,
        what="Webhook" if is_webhook else "Channel",
        target=item.address if is_webhook else f"{item.recipient}, by {item.address}",
        url=with_query(DELIVERIES, subscription=item.id),
        is_current=is_current,
        created_by=item.created_by,
        created_at=item.created_at,
        disabled="" if item.disabled_at is None else item.disabled_why or "It was removed.",
    )


def _delivery(item: Delivery, label: str, can_replay: bool) -> DeliveryRow:  # noqa: FBT001  one call
    has_requirement = item.requirement_id is not None
    status = "" if item.answer_status is None else f"{item.answer_status} "
    return DeliveryRow(
        id=item.id,
        can_replay=can_replay,
        seq=item.seq,
        kind=item.kind,
        about_url=requirement_url(item.requirement_id or "")
        if has_requirement
        else run_url(item.run_id),
        to=label,
        status=item.status.value.capitalize(),
        style=_STYLES[item.status],
        attempts=item.attempts,
        next_at=item.next_at if item.status is DeliveryStatus.pending else None,
        tried_at=item.tried_at,
        answer=f"{status}{item.answer or ''}".strip(),
    )
