"""Makes deliveries from the feed, and attempts at those that are due.

One place sends: the workers, beside their relay. Each has a courier, and any number may run at
once; a claim in the rows keeps two from sending the same. Every subscription is served by itself,
so one that hangs or fails delays nobody else, and is left alone for longer after each failure.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial

from kern.client.outbound.addresses import AddressGuard
from kern.client.outbound.channels import send_message
from kern.client.outbound.cloud_events import body_of, link_to
from kern.client.outbound.messages import WaitingItem, message_of
from kern.client.outbound.webhooks import WebhookSender
from kern.contracts.feed import FeedEntry
from kern.contracts.subscriptions import Subscription, SubscriptionSort
from kern.db.engine.store import Store
from kern.db.subscriptions import deliveries, notices
from kern.db.subscriptions.deliveries import Attempt, ClaimedDelivery
from kern.errors import KernError
from kern.process.checkpoints import reach
from kern.process.clock import utc_now
from kern.process.live_text import FEED_CHANNEL
from kern.process.logs import get_logger
from kern.process.secret_box import SecretBox
from kern.process.settings import Settings

_log = get_logger("kern.outbound")

_RETENTION = timedelta(days=30)
_PRUNE_SECONDS = 600.0


class OutboundCourier:
    """Delivers to subscriptions. Each worker has one, and any number may run at once.

    Args:
        db: Where subscriptions and deliveries are kept.
        settings: Kern's settings.
        patience: For how many seconds a webhook may take to answer.
    """

    def __init__(self, db: Store, settings: Settings, patience: float = 15.0) -> None:
        self._db = db
        self._seconds = settings.relay_seconds
        self._patience = timedelta(seconds=patience)
        self._public_url = settings.public_url
        self._box = SecretBox(settings)
        self._webhooks = WebhookSender(AddressGuard(settings.outbound_allow), patience)
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled, also while the database is away."""
        loop = asyncio.get_running_loop()
        follower = self._db.broadcaster.follow(FEED_CHANNEL)
        next_prune = loop.time() + _PRUNE_SECONDS
        try:
            while True:
                await self._step()
                if loop.time() >= next_prune:
                    next_prune = loop.time() + _PRUNE_SECONDS
                    await self._prune()
                await follower.wait(self._seconds)
        finally:
            follower.close()
            for task in self._busy.values():
                task.cancel()

    async def dispatch(self) -> int:
        """Make the deliveries of what is new in the feed; return how many entries there were."""
        count = 0
        while await self._db.read(notices.is_any_undispatched):
            now = utc_now()
            batch = await self._db.write(
                partial(deliveries.dispatch, body_of=self._body_of, now=now)
            )
            if not batch:
                # Another courier is at it.
                break
            count += batch
        return count

    async def deliver_due(self) -> int:
        """Begin the attempts that are due; return how many deliveries were claimed."""
        now, busy = utc_now(), list(self._busy)
        if not await self._db.read(lambda tx: deliveries.is_any_due(tx, busy, now)):
            return 0
        claimed = await self._db.write(lambda tx: deliveries.claim(tx, busy, now))
        reach("outbound.after_claim")
        groups: dict[str, list[ClaimedDelivery]] = {}
        for item in claimed:
            groups.setdefault(item.subscription.id, []).append(item)
        for subscription_id, items in groups.items():
            task = asyncio.create_task(self._serve(items))
            self._busy[subscription_id] = task
            task.add_done_callback(partial(self._forget, subscription_id))
        return len(claimed)

    async def settle(self) -> None:
        """Wait for the attempts that are under way."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))

    def _forget(self, subscription_id: str, _task: asyncio.Task[None]) -> None:
        self._busy.pop(subscription_id, None)

    async def _step(self) -> None:
        try:
            await self.dispatch()
            await self.deliver_due()
        except Exception as error:  # noqa: BLE001  nobody else delivers for this worker
            _log.warning("outbound_failed", why=f"{type(error).__name__}: {error}")

    async def _prune(self) -> None:
        before = utc_now() - _RETENTION
        try:
            await self._db.write(lambda tx: deliveries.prune(tx, before))
        except Exception as error:  # noqa: BLE001  as in a step
            _log.warning("outbound_failed", why=f"{type(error).__name__}: {error}")

    def _body_of(self, subscription: Subscription, entry: FeedEntry) -> str:
        if subscription.sort is SubscriptionSort.channel:
            return ""
        return body_of(subscription, entry, self._public_url)

    async def _serve(self, claimed: Sequence[ClaimedDelivery]) -> None:
        """Make attempts for one subscription, until one fails: then it is left alone."""
        subscription = claimed[0].subscription
        try:
            secrets = [self._box.decrypt(encrypted) for encrypted in claimed[0].secrets.encrypted]
            if subscription.digest_seconds is not None:
                await self._tell(claimed, secrets)
                return
            for item in claimed:
                if utc_now() + self._patience > item.delivery.next_at:
                    # The lease is nearly over: whoever claims the rest next sends it.
                    return
                if subscription.sort is SubscriptionSort.channel:
                    is_delivered = await self._tell([item], secrets)
                else:
                    attempt = await self._webhooks.send(item, secrets)
                    reach("outbound.before_record")
                    is_delivered = await self._record({item.delivery.id: attempt})
                if not is_delivered:
                    return
        except KernError as error:
            why = str(error)
            _log.warning("delivery_failed", subscription_id=subscription.id, why=why)
            attempt = Attempt(is_delivered=False, answer=why)
            await self._record({item.delivery.id: attempt for item in claimed})

    async def _tell(self, claimed: Sequence[ClaimedDelivery], secrets: Sequence[str]) -> bool:
        """Tell people of what still waits for them, in one message."""
        about = {item.delivery.id: item.delivery for item in claimed}
        waiting = await self._db.read(lambda tx: notices.still_waiting(tx, list(about.values())))
        dropped = Attempt(is_delivered=False, is_dropped=True, answer="It waits no more.")
        attempts = {key: dropped for key in about if key not in waiting}
        if waiting:
            items = [
                WaitingItem(
                    about[key].kind,
                    notice.requirement,
                    notice.requester,
                    link_to(notice.requirement.id, about[key].run_id, self._public_url),
                )
                for key, notice in waiting.items()
            ]
            message = message_of(items, claimed[0].subscription)
            sent = await send_message(secrets[0], message)
            reach("outbound.before_record")
            attempts |= dict.fromkeys(waiting, sent)
        return await self._record(attempts, {item.run_id for item in about.values()})

    async def _record(self, attempts: Mapping[str, Attempt], run_ids: Collection[str] = ()) -> bool:
        """Keep what came of attempts; return whether more may be made at once."""
        now = utc_now()
        await self._db.write(lambda tx: notices.record_all(tx, attempts, now, run_ids))
        return all(attempt.is_delivered or attempt.is_dropped for attempt in attempts.values())
