"""The signatures of subscriptions, which the service and the HTTP client both have."""

from datetime import timedelta
from typing import Protocol

from kern.contracts.subscriptions import (
    Delivery,
    NewWebhook,
    Subscription,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.contracts.viewer import Viewer


class OperatorSubscriptions(Protocol):
    """Manages webhooks and channels."""

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
        ...

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
        ...

    async def read_all(self, viewer: Viewer, sort: SubscriptionSort) -> list[Subscription]:
        """List webhooks or channels."""
        ...

    async def remove(
        self, viewer: Viewer, sort: SubscriptionSort, subscription_id: str, by: str
    ) -> Subscription:
        """Deliver nothing more to a webhook or by a channel."""
        ...

    async def rotate(
        self, viewer: Viewer, webhook_id: str, overlap: timedelta, by: str
    ) -> NewWebhook:
        """Give a webhook another secret."""
        ...

    async def deliveries(
        self,
        viewer: Viewer,
        subscription_id: str | None = None,
        *,
        limit: int = 100,
        status: str | None = None,
    ) -> list[Delivery]:
        """List the latest deliveries."""
        ...

    async def replay(self, viewer: Viewer, delivery_id: str) -> Delivery:
        """Send a delivery again."""
        ...

    async def replay_since(self, viewer: Viewer, webhook_id: str, after: int) -> int:
        """Send again what a webhook was sent about later entries."""
        ...
