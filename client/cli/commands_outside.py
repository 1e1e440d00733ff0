"""The commands about who is notified outside: webhooks for programs, and channels to people."""

from typing import Annotated

import typer

from kern.client.cli.options import AsJson, By, Tenant

_PANEL = "Operation"

webhooks = typer.Typer(help="Send what happens to programs, as signed webhooks.")
channels = typer.Typer(help="Reach people by mail or chat about what waits for them.")

Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Only this kind of entry; several times for several."),
]
Components = Annotated[
    list[str] | None, typer.Option("--component", help="Only runs of this component.")
]
Tools = Annotated[list[str] | None, typer.Option("--tool", help="Only this tool or step.")]
RiskFrom = Annotated[
    str | None,
    typer.Option("--risk-from", metavar="RISK", help="Only this risk and higher: normal or high."),
]
Label = Annotated[str | None, typer.Option("--label", help="What it is for.")]
SubscriptionId = Annotated[str, typer.Argument(metavar="ID", help="Its id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    webhooks.command(name="add")(add_webhook)
    webhooks.command(name="list")(list_webhooks)
    webhooks.command(name="remove")(remove_webhook)
    channels.command(name="add")(add_channel)
    channels.command(name="list")(list_channels)
    channels.command(name="remove")(remove_channel)
    for group in (webhooks, channels):
        group.command()(attempts)
        group.command()(replay)
    webhooks.command()(rotate)
    app.add_typer(webhooks, name="webhooks", rich_help_panel=_PANEL)
    app.add_typer(channels, name="channels", rich_help_panel=_PANEL)


def add_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it is sent: https://…")],
    kind: Kinds = None,
    component: Components = None,
    tool: Tools = None,
    risk_from: RiskFrom = None,
    label: Label = None,
    with_content: Annotated[
        bool,
        typer.Option("--with-content", help="Also send titles and subjects, which hold arguments."),
    ] = False,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Send what happens from now on to a URL. Its secret is shown this once."""
    from kern.client.cli import subscriptions

    only = subscriptions.filter_of(kind, component, tool, _risk(risk_from))
    subscriptions.add_webhook(
        url, only, label=label, with_content=with_content, by=by, as_json=as_json
    )


def list_webhooks(_tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the webhooks, without their secrets."""
    _list("webhook", as_json=as_json)


def list_channels(_tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the channels, without their addresses."""
    _list("channel", as_json=as_json)


def remove_webhook(webhook_id: SubscriptionId, by: By = None, _tenant: Tenant = None) -> None:
    """Send nothing more to a webhook. What was delivered stays listed."""
    _remove("webhook", webhook_id, by)


def remove_channel(channel_id: SubscriptionId, by: By = None, _tenant: Tenant = None) -> None:
    """Reach nobody by a channel any more."""
    _remove("channel", channel_id, by)


def attempts(
    subscription_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Only to this webhook or channel.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="pending, delivered, failed or dropped.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 25,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List the latest deliveries: how often each was tried, and what it was answered."""
    from kern.client.cli.subscriptions import list_attempts

    list_attempts(subscription_id, status, limit, as_json=as_json)


def replay(
    item_id: Annotated[
        str, typer.Argument(metavar="ID", help="A delivery; with --since, a webhook.")
    ],
    since: Annotated[
        int | None,
        typer.Option(
            "--since", min=0, metavar="NUMBER", help="Everything after this entry of the feed."
        ),
    ] = None,
    _tenant: Tenant = None,
) -> None:
    """Send a delivery again, or all of a webhook since a number, under the same ids."""
    from kern.client.cli import subscriptions

    if since is None:
        subscriptions.replay_delivery(item_id)
    else:
        subscriptions.replay_since(item_id, since)


def rotate(
    webhook_id: SubscriptionId,
    overlap: Annotated[
        float,
        typer.Option(
            "--overlap", min=0, max=720, metavar="HOURS", help="How long the old one signs too."
        ),
    ] = 24,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Give a webhook another secret, which is shown this once."""
    from kern.client.cli.subscriptions import rotate_webhook

    rotate_webhook(webhook_id, overlap, by, as_json=as_json)


def add_channel(
    recipient: Annotated[
        str, typer.Argument(metavar="WHO", help="The person, or group:NAME, as in approval rules.")
    ],
    url: Annotated[
        str,
        typer.Option(
            "--url",
            envvar="KERN_CHANNEL_URL",
            prompt=True,
            hide_input=True,
            help="The URL of apprise (KERN_CHANNEL_URL); asked for, so that no shell keeps it.",
        ),
    ],
    kind: Kinds = None,
    component: Components = None,
    tool: Tools = None,
    risk_from: RiskFrom = None,
    digest: Annotated[
        float | None,
        typer.Option(
            "--digest", min=1, max=10080, metavar="MINUTES", help="Collect, and say all at once."
        ),
    ] = None,
    label: Label = None,
    without_content: Annotated[
        bool, typer.Option("--without-content", help="Leave out titles, which hold arguments.")
    ] = False,
    by: By = None,
    _tenant: Tenant = None,
) -> None:
    """Reach somebody about what waits for them, from now on."""
    from kern.client.cli import subscriptions

    only = subscriptions.filter_of(kind, component, tool, _risk(risk_from))
    subscriptions.add_channel(
        recipient,
        url,
        only,
        label=label,
        digest_minutes=digest,
        with_content=not without_content,
        by=by,
    )


def _risk(name: str | None) -> str | None:
    from kern.values.states import Risk
    from kern.values.validation import member_of

    return member_of("--risk-from", name, Risk)


def _list(sort: str, *, as_json: bool) -> None:
    from kern.client.cli.subscriptions import list_subscriptions
    from kern.contracts.subscriptions import SubscriptionSort

    list_subscriptions(SubscriptionSort(sort), as_json=as_json)


def _remove(sort: str, subscription_id: str, by: str | None) -> None:
    from kern.client.cli.subscriptions import remove_subscription
    from kern.contracts.subscriptions import SubscriptionSort

    remove_subscription(SubscriptionSort(sort), subscription_id, by)
