"""Who is notified outside: webhooks for programs, and channels to people."""

from datetime import timedelta

from sqlmodel import Session

from kern.client.outbound.addresses import AddressGuard
from kern.client.outbound.channels import channel_scheme
from kern.client.outbound.cloud_events import new_secret
from kern.contracts.subscriptions import (
    Delivery,
    DeliveryStatus,
    NewWebhook,
    Subscription,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.subscriptions import deliveries, records
from kern.errors import InvalidInput
from kern.process.clock import utc_now
from kern.process.logs import get_logger
from kern.process.secret_box import SecretBox
from kern.process.settings import Settings
from kern.values.deciders import decider, is_group, is_name
from kern.values.feed import FeedKind
from kern.values.ids import new_id
from kern.values.names import person_name
from kern.values.states import Risk
from kern.values.validation import member_of, require_count

_log = get_logger("kern.access")

_MOST_LISTED = 1_000
_LONGEST_OVERLAP = timedelta(days=30)
_SHORTEST_DIGEST, _LONGEST_DIGEST = timedelta(minutes=1), timedelta(days=7)


class Subscriptions:
    """Adds, lists and removes subscriptions of one store, and shows what was delivered."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._box = SecretBox(settings)

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
        """Have entries of the feed sent to a URL, from now on.

        Raises:
            InvalidInput: the URL, the label or a filter can be none, or there is no key with which
                the secret is encrypted.
        """
        AddressGuard(self._settings.outbound_allow).check_url(url)
        secret = new_secret()
        webhook = _new(
            viewer, SubscriptionSort.webhook, url, label or url, by=by, only=only or _ALL
        ).model_copy(update={"with_content": with_content})
        await self._store_new(webhook, secret)
        return NewWebhook(webhook=webhook, secret=secret)

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
        """Have a person, or `group:` and a name, reached by a channel about what waits for them.

        Args:
            viewer: Who asks.
            recipient: Whom it reaches, as approval rules name them.
            url: A URL of apprise. It is kept encrypted, and never shown.
            by: Who adds it.
            label: What it is, as administrators are shown it.
            only: Which entries it says.
            digest: Collect for so long, and say everything at once.
            with_content: Whether it says titles, which hold values of calls.

        Raises:
            InvalidInput: something can be none, apprise is not installed, or there is no key.
        """
        entry = decider("the recipient of a channel", recipient)
        if not is_name(entry) and not is_group(entry):
            message = "A channel reaches a person or a group by name: name one."
            raise InvalidInput(message)
        if digest is not None and not _SHORTEST_DIGEST <= digest <= _LONGEST_DIGEST:
            message = f"digest is {digest}: collect for a minute to seven days."
            raise InvalidInput(message)
        scheme = channel_scheme(url)
        channel = _new(
            viewer, SubscriptionSort.channel, scheme, label or entry, by=by, only=only or _ALL
        ).model_copy(
            update={
                "recipient": entry,
                "digest_seconds": None if digest is None else digest.total_seconds(),
                "with_content": with_content,
            }
        )
        await self._store_new(channel, url)
        return channel

    async def read_all(self, viewer: Viewer, sort: SubscriptionSort) -> list[Subscription]:
        """List the webhooks or the channels of the viewer's tenant."""
        return await self._store.read(lambda tx: records.list_of(tx, viewer, sort))

    async def remove(
        self, viewer: Viewer, sort: SubscriptionSort, subscription_id: str, by: str
    ) -> Subscription:
        """Deliver nothing more to a subscription. It stays, with what was delivered.

        Raises:
            NotFound: there is none with this id in the viewer's tenant.
        """

        def remove(tx: Session) -> Subscription:
            row = records.find(tx, viewer, subscription_id, sort)
            records.disable(row, f"Removed by {by}.", utc_now())
            return records.subscription_of(row)

        removed = await self._store.write(remove)
        _log.info("subscription_removed", subscription_id=subscription_id, by=by)
        return removed

    async def rotate(
        self, viewer: Viewer, webhook_id: str, overlap: timedelta, by: str
    ) -> NewWebhook:
        """Give a webhook another secret; until the overlap is over, the old one signs too.

        Raises:
            NotFound: there is none with this id in the viewer's tenant.
            InvalidInput: the overlap makes no sense.
        """
        if not timedelta(0) <= overlap <= _LONGEST_OVERLAP:
            message = f"The overlap is {overlap}: up to 30 days."
            raise InvalidInput(message)
        secret, now = new_secret(), utc_now()
        encrypted = self._box.encrypt(secret)

        def rotate(tx: Session) -> Subscription:
            row = records.find(tx, viewer, webhook_id, SubscriptionSort.webhook)
            if row.secret != encrypted:
                records.rotate(row, encrypted, now + overlap)
            return records.subscription_of(row)

        webhook = await self._store.write(rotate)
        _log.info("webhook_rotated", subscription_id=webhook_id, by=by)
        return NewWebhook(webhook=webhook, secret=secret)

    async def deliveries(
        self,
        viewer: Viewer,
        subscription_id: str | None = None,
        *,
        limit: int = 100,
        status: str | None = None,
    ) -> list[Delivery]:
        """List the latest deliveries, of one subscription or of all of the viewer's tenant.

        Raises:
            InvalidInput: the limit or the status makes no sense.
        """
        require_count("limit", limit, most=_MOST_LISTED)
        only = member_of("status", status, DeliveryStatus)
        return await self._store.read(
            lambda tx: deliveries.list_of(tx, viewer, subscription_id, limit, only)
        )

    async def replay(self, viewer: Viewer, delivery_id: str) -> Delivery:
        """Send a delivery again, however it ended.

        Raises:
            NotFound: there is none with this id in the viewer's tenant.
            Conflict: the webhook or channel is off.
        """
        now = utc_now()
        return await self._store.write(lambda tx: deliveries.replay(tx, viewer, delivery_id, now))

    async def replay_since(self, viewer: Viewer, webhook_id: str, after: int) -> int:
        """Send again what a webhook was sent about later entries of the feed; return how many.

        Raises:
            NotFound: there is no webhook with this id in the viewer's tenant.
            Conflict: the webhook is off.
            InvalidInput: `after` can be no number of an entry.
        """
        require_count("after", after, least=0)
        now = utc_now()

        def again(tx: Session) -> int:
            records.find(tx, viewer, webhook_id, SubscriptionSort.webhook)
            return deliveries.replay_since(tx, webhook_id, after, now)

        return await self._store.write(again)

    async def _store_new(self, subscription: Subscription, secret: str) -> None:
        encrypted = self._box.encrypt(secret)
        await self._store.write(lambda tx: records.store(tx, subscription, encrypted))
        _log.info(
            "subscription_added",
            subscription_id=subscription.id,
            sort=subscription.sort.value,
            by=subscription.created_by,
        )


_ALL = SubscriptionFilter()


def _new(
    viewer: Viewer,
    sort: SubscriptionSort,
    address: str,
    label: str,
    *,
    by: str,
    only: SubscriptionFilter,
) -> Subscription:
    return Subscription(
        id=new_id(),
        tenant=viewer.accepting_tenant,
        sort=sort,
        label=person_name("the label", label[:200]),
        address=address,
        kinds=tuple(_member("kinds", kind, FeedKind) for kind in only.kinds),
        components=tuple(only.components),
        tools=tuple(only.tools),
        risks=tuple(Risk(_member("risks", risk, Risk)) for risk in only.risks),
        created_by=by,
        created_at=utc_now(),
    )


def _member(name: str, value: str, values: type[FeedKind] | type[Risk]) -> str:
    if value not in set(values):
        message = f"{name} has {value!r}: use {', '.join(values)}."
        raise InvalidInput(message)
    return value
