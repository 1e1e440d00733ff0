"""Adds, lists and removes webhooks and channels, and shows what was delivered to them."""

from datetime import timedelta

from kern.client.cli.access import decider, perform
from kern.client.cli.printing import say, say_json, say_table, show_time
from kern.contracts.subscriptions import (
    Delivery,
    DeliveryStatus,
    NewWebhook,
    Subscription,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.contracts.viewer import Viewer, present_operator
from kern.process.tenants import present_tenant
from kern.values.states import RISK_RANKS, Risk


def filter_of(
    kinds: list[str] | None,
    components: list[str] | None,
    tools: list[str] | None,
    risk: str | None,
) -> SubscriptionFilter:
    """Return what a subscription hears of; `risk` is the lowest.

    Raises:
        ValueError: there is no such risk.
    """
    least = None if risk is None else RISK_RANKS[Risk(risk)]
    risks = [] if least is None else [name for name, rank in RISK_RANKS.items() if rank <= least]
    return SubscriptionFilter(
        kinds=tuple(kinds or ()),
        components=tuple(components or ()),
        tools=tuple(tools or ()),
        risks=tuple(risks),
    )


def add_webhook(
    url: str,
    only: SubscriptionFilter,
    *,
    label: str | None,
    with_content: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Add a webhook, and show its secret."""
    name = decider(by)
    new = perform(
        lambda service: service.subscriptions.add_webhook(
            _administrator(), url, by=name, label=label, only=only, with_content=with_content
        )
    )
    _show_secret(new, as_json=as_json)


def rotate_webhook(webhook_id: str, hours: float, by: str | None, *, as_json: bool) -> None:
    """Give a webhook another secret, and show it."""
    overlap, name = timedelta(hours=hours), decider(by)
    new = perform(
        lambda service: service.subscriptions.rotate(present_operator(), webhook_id, overlap, name)
    )
    _show_secret(new, as_json=as_json)


def add_channel(
    recipient: str,
    url: str,
    only: SubscriptionFilter,
    *,
    label: str | None,
    digest_minutes: float | None,
    with_content: bool,
    by: str | None,
) -> None:
    """Add a channel that reaches a person or a group."""
    name = decider(by)
    digest = None if digest_minutes is None else timedelta(minutes=digest_minutes)
    channel = perform(
        lambda service: service.subscriptions.add_channel(
            _administrator(),
            recipient,
            url,
            by=name,
            label=label,
            only=only,
            digest=digest,
            with_content=with_content,
        )
    )
    say(f"Channel {channel.id} reaches {channel.recipient} by {channel.address}.")


def list_subscriptions(sort: SubscriptionSort, *, as_json: bool) -> None:
    """List the webhooks or the channels of the tenant, or of all."""
    items = perform(lambda service: service.subscriptions.read_all(present_operator(), sort))
    if as_json:
        say_json({f"{sort.value}s": [item.model_dump(mode="json") for item in items]})
        return
    if not items:
        say(f"There are no {sort.value}s.")
        return
    say_table(
        ("ID", "LABEL", "TO", "HEARS OF", "STATE"),
        [(item.id, item.label, _target(item), _filter(item), _state(item)) for item in items],
    )


def remove_subscription(sort: SubscriptionSort, subscription_id: str, by: str | None) -> None:
    """Deliver nothing more to a subscription."""
    name = decider(by)
    removed = perform(
        lambda service: service.subscriptions.remove(
            present_operator(), sort, subscription_id, name
        )
    )
    say(f"Nothing more is delivered to {sort.value} {removed.id}.")


def list_attempts(
    subscription_id: str | None, status: str | None, limit: int, *, as_json: bool
) -> None:
    """List the latest deliveries, with what came of their attempts."""
    items = perform(
        lambda service: service.subscriptions.deliveries(
            present_operator(), subscription_id, limit=limit, status=status
        )
    )
    if as_json:
        say_json({"deliveries": [item.model_dump(mode="json") for item in items]})
        return
    if not items:
        say("There are no deliveries.")
        return
    say_table(
        ("ID", "NUMBER", "KIND", "STATE", "ATTEMPTS", "LAST ANSWER"),
        [
            (item.id, str(item.seq), item.kind, _stage(item), str(item.attempts), _answer(item))
            for item in items
        ],
    )


def replay_delivery(delivery_id: str) -> None:
    """Send a delivery again."""
    item = perform(lambda service: service.subscriptions.replay(present_operator(), delivery_id))
    say(f"Delivery {item.id} is sent again by the next worker that looks.")


def replay_since(webhook_id: str, after: int) -> None:
    """Send again what a webhook was sent about later entries of the feed."""
    count = perform(
        lambda service: service.subscriptions.replay_since(present_operator(), webhook_id, after)
    )
    say(f"{count} deliveries are sent again.")


def _administrator() -> Viewer:
    return Viewer(is_operator=True, tenant=present_tenant())


def _show_secret(new: NewWebhook, *, as_json: bool) -> None:
    webhook = new.webhook
    if as_json:
        say_json({**webhook.model_dump(mode="json"), "secret": new.secret})
        return
    say(f"Webhook {webhook.id} sends to {webhook.address}.")
    say(new.secret)
    say("It is shown this once: the receiver verifies signatures with it.")
    if webhook.old_secret_until is not None:
        say(f"The old one signs too, until {show_time(webhook.old_secret_until)}.")


def _target(item: Subscription) -> str:
    return item.address if item.recipient is None else f"{item.recipient} by {item.address}"


def _filter(item: Subscription) -> str:
    parts = [*item.kinds, *item.components, *item.tools, *(risk.value for risk in item.risks)]
    digest = (
        [] if item.digest_seconds is None else [f"every {timedelta(seconds=item.digest_seconds)}"]
    )
    return ", ".join([*parts, *digest]) or "everything"


def _state(item: Subscription) -> str:
    if item.disabled_at is None:
        return "active"
    return f"off since {show_time(item.disabled_at)}: {item.disabled_why}"


def _stage(item: Delivery) -> str:
    if item.status is DeliveryStatus.pending:
        return f"pending, next {show_time(item.next_at)}"
    return item.status.value


def _answer(item: Delivery) -> str:
    status = "" if item.answer_status is None else f"{item.answer_status} "
    return f"{status}{item.answer or ''}".strip()[:60]
