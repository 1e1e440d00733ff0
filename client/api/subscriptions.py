"""The routes about who is notified outside: webhooks, channels, and what was delivered to them."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Page
from kern.client.web.callers import Administrator, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.contracts.subscriptions import (
    Delivery,
    DeliveryStatus,
    Subscription,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.values.feed import FeedKind
from kern.values.states import Risk

router = APIRouter(tags=["outside"], route_class=ConditionalRoute, responses=PROBLEMS)

SubscriptionId = Annotated[str, Path(min_length=1, max_length=240)]
_Names = Annotated[
    list[Annotated[StrictStr, Field(min_length=1, max_length=240)]], Field(max_length=100)
]


class _Filters(BaseModel):
    """Which entries of the feed are delivered; what is empty filters nothing."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[StrictStr | None, Field(min_length=1, max_length=200)] = None
    kinds: list[FeedKind] = []
    components: _Names = []
    tools: _Names = []
    risks: list[Risk] = []

    @property
    def only(self) -> SubscriptionFilter:
        """The filter as the service takes it."""
        return SubscriptionFilter(
            kinds=tuple(self.kinds),
            components=tuple(self.components),
            tools=tuple(self.tools),
            risks=tuple(self.risks),
        )


class WebhookBody(_Filters):
    """A webhook to be added.

    Attributes:
        with_content: Also send titles and subjects, which hold arguments.
    """

    url: Annotated[StrictStr, Field(max_length=2000)]
    with_content: StrictBool = False


class ChannelBody(_Filters):
    """A channel to be added.

    Attributes:
        recipient: The person, or `group:` and a name, whom it reaches.
        url: A URL of apprise; it is kept encrypted, and never shown.
        digest_minutes: Collect for so long, and say everything at once.
    """

    recipient: Annotated[StrictStr, Field(max_length=500)]
    url: Annotated[StrictStr, Field(max_length=2000)]
    digest_minutes: Annotated[StrictInt | None, Field(ge=1, le=10_080)] = None
    with_content: StrictBool = True


class NewWebhookResource(BaseModel):
    """A webhook whose secret was just made: it is shown this once."""

    webhook: Subscription
    secret: str


class RotationBody(BaseModel):
    """How long the old secret signs too."""

    model_config = ConfigDict(extra="forbid")

    overlap_hours: Annotated[StrictInt, Field(ge=0, le=720)] = 24


class ReplayBody(BaseModel):
    """What is sent again: what followed a number of the feed."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[StrictInt, Field(ge=0, le=2**62)]


class Replayed(BaseModel):
    """How many deliveries are sent again."""

    count: int


@router.get("/webhooks")
async def list_webhooks(service: ServiceOf, caller: Administrator) -> Page[Subscription]:
    """List the webhooks of the caller's tenant, without their secrets."""
    items = await service.subscriptions.read_all(caller.viewer, SubscriptionSort.webhook)
    return Page(items=items)


@router.post("/webhooks", status_code=status.HTTP_201_CREATED)
async def add_webhook(
    service: ServiceOf, caller: Administrator, body: WebhookBody
) -> NewWebhookResource:
    """Send what happens from now on to a URL."""
    new = await service.subscriptions.add_webhook(
        caller.viewer,
        body.url,
        by=caller.principal.name,
        label=body.label,
        only=body.only,
        with_content=body.with_content,
    )
    return NewWebhookResource(webhook=new.webhook, secret=new.secret)


@router.delete("/webhooks/{webhook_id}")
async def remove_webhook(
    service: ServiceOf, caller: Administrator, webhook_id: SubscriptionId
) -> Subscription:
    """Send nothing more to a webhook."""
    sort = SubscriptionSort.webhook
    by = caller.principal.name
    return await service.subscriptions.remove(caller.viewer, sort, webhook_id, by)


@router.post("/webhooks/{webhook_id}/rotation", status_code=status.HTTP_201_CREATED)
async def rotate_webhook(
    service: ServiceOf, caller: Administrator, webhook_id: SubscriptionId, body: RotationBody
) -> NewWebhookResource:
    """Give a webhook another secret; the old one signs too for a while."""
    overlap = timedelta(hours=body.overlap_hours)
    by = caller.principal.name
    new = await service.subscriptions.rotate(caller.viewer, webhook_id, overlap, by)
    return NewWebhookResource(webhook=new.webhook, secret=new.secret)


@router.post("/webhooks/{webhook_id}/replays")
async def replay_webhook(
    service: ServiceOf, caller: Administrator, webhook_id: SubscriptionId, body: ReplayBody
) -> Replayed:
    """Send again what a webhook was sent about later entries of the feed."""
    count = await service.subscriptions.replay_since(caller.viewer, webhook_id, body.after)
    return Replayed(count=count)


@router.get("/channels")
async def list_channels(service: ServiceOf, caller: Administrator) -> Page[Subscription]:
    """List the channels of the caller's tenant, without their addresses."""
    items = await service.subscriptions.read_all(caller.viewer, SubscriptionSort.channel)
    return Page(items=items)


@router.post("/channels", status_code=status.HTTP_201_CREATED)
async def add_channel(service: ServiceOf, caller: Administrator, body: ChannelBody) -> Subscription:
    """Reach a person or a group about what waits for them, from now on."""
    digest = None if body.digest_minutes is None else timedelta(minutes=body.digest_minutes)
    return await service.subscriptions.add_channel(
        caller.viewer,
        body.recipient,
        body.url,
        by=caller.principal.name,
        label=body.label,
        only=body.only,
        digest=digest,
        with_content=body.with_content,
    )


@router.delete("/channels/{channel_id}")
async def remove_channel(
    service: ServiceOf, caller: Administrator, channel_id: SubscriptionId
) -> Subscription:
    """Reach nobody by a channel any more."""
    sort = SubscriptionSort.channel
    by = caller.principal.name
    return await service.subscriptions.remove(caller.viewer, sort, channel_id, by)


@router.get("/deliveries")
async def list_deliveries(
    service: ServiceOf,
    caller: Administrator,
    subscription: Annotated[str | None, Query(min_length=1, max_length=240)] = None,
    state: Annotated[DeliveryStatus | None, Query(alias="status")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
) -> Page[Delivery]:
    """List the latest deliveries of the caller's tenant, with what came of their attempts."""
    items = await service.subscriptions.deliveries(
        caller.viewer, subscription, limit=limit, status=state
    )
    return Page(items=items)


@router.post("/deliveries/{delivery_id}/replay")
async def replay_delivery(
    service: ServiceOf, caller: Administrator, delivery_id: SubscriptionId
) -> Delivery:
    """Send a delivery again, under the same id and with the same body."""
    return await service.subscriptions.replay(caller.viewer, delivery_id)
