"""What is sent outside, without a worker: a database with a courier, and who administers it."""

from collections.abc import Sequence

from kern.client.outbound.courier import OutboundCourier
from kern.client.service.subscriptions import Subscriptions
from kern.contracts.subscriptions import Delivery, NewWebhook, Subscription
from kern.contracts.viewer import Viewer
from kern.db.journal import feed
from kern.db.journal.events import events_of
from kern.process.settings import Settings
from kern.requirements import Requirement
from tests.support.stored_runs import Stored

VIEWER = Viewer(is_operator=True)


class Outside:
    """A database with a courier, and an administrator of webhooks and channels."""

    def __init__(self, stored: Stored, settings: Settings, patience: float = 15.0) -> None:
        self.stored, self.settings = stored, settings
        self.courier = OutboundCourier(stored.database, settings, patience)
        self.subscriptions = Subscriptions(stored.database, settings)

    async def add_webhook(self, url: str, **options: object) -> NewWebhook:
        return await self.subscriptions.add_webhook(
            VIEWER,
            url,
            by="dana",
            **options,  # type: ignore[arg-type]
        )

    async def add_channel(self, recipient: str, url: str, **options: object) -> Subscription:
        return await self.subscriptions.add_channel(
            VIEWER,
            recipient,
            url,
            by="mia",
            **options,  # type: ignore[arg-type]
        )

    async def dispatch(self) -> None:
        """Make the deliveries of what is new."""
        while self.stored.do(feed.number):
            pass
        await self.courier.dispatch()

    async def deliver(self) -> None:
        """Deliver what is due, once."""
        await self.dispatch()
        await self.courier.deliver_due()
        await self.courier.settle()

    async def deliveries(self, subscription: Subscription) -> Sequence[Delivery]:
        return await self.subscriptions.deliveries(VIEWER, subscription.id)

    def make_due(self) -> None:
        """Let the time pass until every delivery is due."""
        self.stored.sql("UPDATE kern_deliveries SET next_at = created_at")

    def notified(self, requirement: Requirement) -> list[tuple[object, object]]:
        """Return who was reached about a requirement, and on which occasion."""
        events = self.stored.look(lambda tx: events_of(tx, requirement.run_id))
        return [
            (event.data["to"], event.data["about"])
            for event in events
            if event.kind == "requirement_notified"
        ]
