"""Webhooks and channels over HTTP: add, list, remove, and what was delivered."""

from datetime import timedelta

from pydantic import BaseModel, JsonValue

from kern.client.api.pages import Page
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.contracts.subscriptions import (
    Delivery,
    NewWebhook,
    Subscription,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.contracts.viewer import Viewer
from kern.errors import InvalidInput
from kern.values.ids import require_id

_ALL = SubscriptionFilter()
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)


class _Replayed(BaseModel):
    count: int


class RemoteSubscriptions:
    """Manages webhooks and channels. Each method raises as that of `Subscriptions`.

    Args:
        connection: The API.
        identity: Whose token it is.
    """

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def add_webhook(
        self,
        viewer: Viewer,
        url: str,
        *,
        by: str,
        label: str | None = None,
        only: SubscriptionFilter | None = None,
        with_content: bool = False,
    ) -> NewWebhook:
        """Send what happens from now on to a URL."""
        await self._check(viewer, by)
        body = _body(only, url=url, label=label, with_content=with_content)
        return await self._connection.post(NewWebhook, "webhooks", body=body)

    async def add_channel(
        self,
        viewer: Viewer,
        recipient: str,
        url: str,
        *,
        by: str,
        label: str | None = None,
        only: SubscriptionFilter | None = None,
        digest: timedelta | None = None,
        with_content: bool = True,
    ) -> Subscription:
        """Reach a person or a group about what waits for them."""
        await self._check(viewer, by)
        minutes = None if digest is None else _whole(digest, _MINUTE, "minutes")
        body = _body(
            only,
            recipient=recipient,
            url=url,
            label=label,
            with_content=with_content,
            digest_minutes=minutes,
        )
        return await self._connection.post(Subscription, "channels", body=body)

    async def read_all(self, viewer: Viewer, sort: SubscriptionSort) -> list[Subscription]:
        """List webhooks or channels."""
        await self._identity.check_tenant(viewer)
        return (await self._connection.get(Page[Subscription], _path(sort))).items

    async def remove(
        self, viewer: Viewer, sort: SubscriptionSort, subscription_id: str, by: str
    ) -> Subscription:
        """Deliver nothing more to a webhook or by a channel."""
        await self._check(viewer, by)
        path = (_path(sort), require_id("id", subscription_id))
        return await self._connection.delete(Subscription, *path)

    async def rotate(
        self, viewer: Viewer, webhook_id: str, overlap: timedelta, by: str
    ) -> NewWebhook:
        """Give a webhook another secret."""
        await self._check(viewer, by)
        body: dict[str, JsonValue] = {"overlap_hours": _whole(overlap, _HOUR, "hours")}
        path = ("webhooks", require_id("id", webhook_id), "rotation")
        return await self._connection.post(NewWebhook, *path, body=body)

    async def deliveries(
        self,
        viewer: Viewer,
        subscription_id: str | None = None,
        *,
        limit: int = 100,
        status: str | None = None,
    ) -> list[Delivery]:
        """List the latest deliveries."""
        await self._identity.check_tenant(viewer)
        parameters = {"subscription": subscription_id, "limit": min(limit, 100), "status": status}
        return (
            await self._connection.get(Page[Delivery], "deliveries", parameters=parameters)
        ).items

    async def replay(self, viewer: Viewer, delivery_id: str) -> Delivery:
        """Send a delivery again."""
        await self._identity.check_tenant(viewer)
        path = ("deliveries", require_id("id", delivery_id), "replay")
        return await self._connection.post(Delivery, *path, again=True)

    async def replay_since(self, viewer: Viewer, webhook_id: str, after: int) -> int:
        """Send again what a webhook was sent about later entries."""
        await self._identity.check_tenant(viewer)
        path = ("webhooks", require_id("id", webhook_id), "replays")
        return (await self._connection.post(_Replayed, *path, body={"after": after})).count

    async def _check(self, viewer: Viewer, by: str) -> None:
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)


def _path(sort: SubscriptionSort) -> str:
    return f"{sort.value}s"


def _body(only: SubscriptionFilter | None, **values: JsonValue) -> dict[str, JsonValue]:
    filters: dict[str, JsonValue] = (only or _ALL).model_dump(mode="json")
    return filters | {name: value for name, value in values.items() if value is not None}


def _whole(length: timedelta, unit: timedelta, name: str) -> int:
    if length % unit:
        message = f"Over HTTP it is a whole number of {name}, not {length}."
        raise InvalidInput(message)
    return length // unit
