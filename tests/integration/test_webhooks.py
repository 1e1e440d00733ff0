"""Webhooks: signed, sent at least once, tried for days, and only to where they may go."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kern.client.outbound.addresses import AddressGuard, AddressRefusedError
from kern.client.outbound.courier import OutboundCourier
from kern.contracts.subscriptions import (
    DeliveryStatus,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.contracts.viewer import Viewer
from kern.db.journal import feed
from kern.db.subscriptions.deliveries import LEASE, prune
from kern.errors import Conflict, InvalidInput, NotFound
from kern.process import checkpoints
from kern.process.settings import Settings
from kern.requirements import Requirement
from tests.support.http_receiver import Receiver
from tests.support.outbound import VIEWER, Outside
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import NAMES, Stored, opened, question


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


@pytest.fixture
async def outside(stored: Stored, tmp_path: Path) -> AsyncIterator[Outside]:
    yield Outside(stored, Settings(home=tmp_path, outbound_allow="127.0.0.0/8"))
    checkpoints.arm(None)


async def dispatched_and_begun(courier: OutboundCourier) -> None:
    await courier.dispatch()
    await courier.deliver_due()


async def resolved(guard: AddressGuard, url: str) -> None:
    guard.check_url(url)
    await guard.resolve(url)


def waiting(outside: Outside) -> Requirement:
    return outside.stored.gated()


async def test_a_webhook_gets_signed_events_without_arguments(
    outside: Outside, receiver: Receiver
) -> None:
    new = await outside.add_webhook(receiver.url())
    requirement = waiting(outside)
    outside.stored.resolve(requirement, by="dana")
    await outside.deliver()
    assert receiver.kinds == ["opened", "resolved"]
    first = receiver.received[0]
    assert first.is_signed_with(new.secret)
    assert not first.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert first.headers["Content-Type"] == "application/cloudevents+json"
    event = first.event
    assert (event["specversion"], event["type"]) == ("1.0", "dev.kern.requirement.opened.v1")
    assert event["subject"] == requirement.id
    assert event["data"]["digest"] == requirement.digest
    assert b"1042" not in b"".join(item.body for item in receiver.received)
    deliveries = await outside.deliveries(new.webhook)
    assert {item.status for item in deliveries} == {DeliveryStatus.delivered}
    assert first.headers["webhook-id"] in {item.id for item in deliveries}


async def test_nothing_is_sent_twice_when_all_is_well(outside: Outside, receiver: Receiver) -> None:
    await outside.add_webhook(receiver.url())
    waiting(outside)
    other = OutboundCourier(outside.stored.database, outside.settings)
    await asyncio.gather(outside.deliver(), other.dispatch(), other.deliver_due())
    await outside.deliver()
    await other.settle()
    assert receiver.kinds == ["opened"]


async def test_a_failure_is_tried_again_later_under_the_same_id(
    outside: Outside, receiver: Receiver
) -> None:
    new = await outside.add_webhook(receiver.url())
    receiver.status, receiver.body = 500, b"out of order " + b"x" * 5000
    waiting(outside)
    await outside.deliver()
    (delivery,) = await outside.deliveries(new.webhook)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.pending, 1)
    assert delivery.answer_status == 500
    assert delivery.answer is not None
    assert delivery.answer.startswith("out of order")
    assert len(delivery.answer) <= 500
    await outside.deliver()
    assert len(receiver.received) == 1, "not before its time"
    receiver.status = 204
    outside.make_due()
    await outside.deliver()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    (delivery,) = await outside.deliveries(new.webhook)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.delivered, 2)


async def test_after_days_a_delivery_is_given_up_and_can_be_replayed(
    outside: Outside, receiver: Receiver
) -> None:
    new = await outside.add_webhook(receiver.url())
    receiver.status = 503
    waiting(outside)
    waits: list[timedelta] = []
    for _ in range(15):
        await outside.deliver()
        (delivery,) = await outside.deliveries(new.webhook)
        assert delivery.tried_at is not None
        waits.append(delivery.next_at - delivery.tried_at)
        outside.make_due()
    (delivery,) = await outside.deliveries(new.webhook)
    assert delivery.status is DeliveryStatus.failed
    minutes = [wait / timedelta(minutes=1) for wait in waits[:-1]]
    assert minutes[:5] == [5 / 60, 0.5, 2, 10, 30]
    assert minutes == sorted(minutes)
    assert timedelta(days=5) < sum(waits[:-1], timedelta()) < timedelta(days=6)
    await outside.deliver()
    assert len(receiver.received) == 15
    receiver.status = 204
    await outside.subscriptions.replay(VIEWER, delivery.id)
    await outside.deliver()
    (delivery,) = await outside.deliveries(new.webhook)
    assert delivery.status is DeliveryStatus.delivered
    assert await outside.subscriptions.replay_since(VIEWER, new.webhook.id, 0) == 1
    await outside.deliver()
    assert len(receiver.received) == 17


async def test_a_receiver_that_is_gone_is_left_alone(outside: Outside, receiver: Receiver) -> None:
    new = await outside.add_webhook(receiver.url())
    receiver.status = 410
    waiting(outside)
    await outside.deliver()
    waiting(outside)
    await outside.deliver()
    assert len(receiver.received) == 1
    (webhook,) = await outside.subscriptions.read_all(VIEWER, SubscriptionSort.webhook)
    assert webhook.disabled_why == "The receiver answered 410 Gone."
    assert [item.status for item in await outside.deliveries(new.webhook)] == [
        DeliveryStatus.failed
    ]


@pytest.mark.parametrize("stalls", [False, True])
async def test_an_answer_counts_by_its_status_whatever_becomes_of_its_body(
    outside: Outside, receiver: Receiver, *, stalls: bool
) -> None:
    new = await outside.add_webhook(receiver.url())
    receiver.status, receiver.body, receiver.length = 299, b"thanks", 100
    receiver.stalls = stalls
    waiting(outside)
    await outside.deliver()
    (delivery,) = await outside.deliveries(new.webhook)
    assert (delivery.status, delivery.answer_status) == (DeliveryStatus.delivered, 299)
    assert delivery.answer == "thanks"


async def test_a_redirect_is_not_followed(outside: Outside, receiver: Receiver) -> None:
    with Receiver() as other:
        new = await outside.add_webhook(receiver.url())
        receiver.status, receiver.location = 307, other.url()
        waiting(outside)
        await outside.deliver()
        (delivery,) = await outside.deliveries(new.webhook)
        assert (delivery.answer_status, delivery.status) == (307, DeliveryStatus.pending)
        assert other.received == []


async def test_a_receiver_that_hangs_delays_nobody_else(
    outside: Outside, receiver: Receiver
) -> None:
    with Receiver() as other:
        hanging = await outside.add_webhook(receiver.url())
        await outside.add_webhook(other.url())
        receiver.hangs = True
        outside = Outside(outside.stored, outside.settings, patience=1.0)
        for _ in range(3):
            waiting(outside)
        await outside.deliver()
        assert other.kinds == ["opened"] * 3
        # One attempt was made, and its failure postpones only itself.
        assert len(receiver.received) == 1
        first = (await outside.deliveries(hanging.webhook))[-1]
        assert first.answer == "No answer within 1 s."


async def test_no_attempt_begins_that_may_outlast_its_lease(
    outside: Outside, receiver: Receiver
) -> None:
    """Another courier takes what is left over, and sends nothing while this one does."""
    await outside.add_webhook(receiver.url())
    waiting(outside)
    slow = Outside(outside.stored, outside.settings, patience=LEASE.total_seconds() + 1)
    await slow.deliver()
    assert receiver.received == []
    outside.make_due()
    await outside.deliver()
    assert receiver.kinds == ["opened"]


async def test_a_courier_that_dies_leaves_nothing_undelivered(
    outside: Outside, receiver: Receiver
) -> None:
    """It dies at each of its steps; another one goes on when the lease is over."""
    new = await outside.add_webhook(receiver.url())

    class Killed(BaseException):
        pass

    for point in ("outbound.after_claim", "write.before_commit", "write.after_commit"):
        waiting(outside)
        while outside.stored.do(feed.number):
            pass

        def die(reached: str, point: str = point) -> None:
            if reached == point:
                raise Killed

        dying = OutboundCourier(outside.stored.database, outside.settings)
        checkpoints.arm(die)
        with pytest.raises(Killed):
            await dispatched_and_begun(dying)
        checkpoints.arm(None)
        outside.make_due()
        await outside.deliver()
    assert receiver.kinds == ["opened"] * 3
    assert len({item.event["id"] for item in receiver.received}) == 3
    assert {item.status for item in await outside.deliveries(new.webhook)} == {
        DeliveryStatus.delivered
    }
    assert timedelta(seconds=30) < LEASE


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_while(
    outside: Outside, receiver: Receiver
) -> None:
    old = await outside.add_webhook(receiver.url())
    new = await outside.subscriptions.rotate(VIEWER, old.webhook.id, timedelta(hours=1), "dana")
    waiting(outside)
    await outside.deliver()
    assert receiver.received[0].is_signed_with(old.secret)
    assert receiver.received[0].is_signed_with(new.secret)
    last = await outside.subscriptions.rotate(VIEWER, old.webhook.id, timedelta(0), "dana")
    waiting(outside)
    await outside.deliver()
    assert receiver.received[1].is_signed_with(last.secret)
    assert not receiver.received[1].is_signed_with(new.secret)
    for _ in range(2):
        await outside.subscriptions.rotate(VIEWER, old.webhook.id, timedelta(hours=1), "dana")
    waiting(outside)
    await outside.deliver()
    assert not receiver.received[2].is_signed_with(last.secret), "only the last two sign"


async def test_filters_choose_what_is_sent(outside: Outside, receiver: Receiver) -> None:
    await outside.add_webhook(receiver.url(), only=SubscriptionFilter(kinds=("resolved",)))
    await outside.add_webhook(receiver.url(), only=SubscriptionFilter(tools=("other",)))
    await outside.add_webhook(receiver.url(), only=SubscriptionFilter(risks=("high",)))
    await outside.add_webhook(receiver.url(), only=SubscriptionFilter(components=("nobody",)))
    outside.stored.resolve(waiting(outside))
    await outside.deliver()
    assert receiver.kinds == ["resolved"]


async def test_what_happened_before_it_was_added_is_not_sent(
    outside: Outside, receiver: Receiver
) -> None:
    waiting(outside)
    await outside.deliver()
    await outside.add_webhook(receiver.url())
    requirement = waiting(outside)
    await outside.deliver()
    assert [item.event["subject"] for item in receiver.received] == [requirement.id]


async def test_another_tenant_is_sent_and_shown_nothing(
    outside: Outside, receiver: Receiver
) -> None:
    acme = Viewer(is_operator=True, tenant="acme")
    new = await outside.subscriptions.add_webhook(acme, receiver.url(), by="ann")
    waiting(outside)
    await outside.deliver()
    assert receiver.received == []
    assert await outside.subscriptions.read_all(VIEWER, SubscriptionSort.webhook) == []
    with pytest.raises(NotFound):
        await outside.subscriptions.rotate(VIEWER, new.webhook.id, timedelta(0), "dana")
    with pytest.raises(NotFound):
        await outside.subscriptions.remove(VIEWER, SubscriptionSort.webhook, new.webhook.id, "x")


async def test_no_secret_lies_readable_in_the_database(
    outside: Outside, receiver: Receiver, stored: Stored
) -> None:
    new = await outside.add_webhook(receiver.url())
    kept = stored.look(lambda tx: execute_sql(tx, "SELECT secret FROM kern_subscriptions").scalar())
    assert isinstance(kept, str)
    assert new.secret.removeprefix("whsec_") not in kept
    assert (outside.settings.home / "secret.key").stat().st_mode & 0o077 == 0
    (outside.settings.home / "secret.key").write_text("x" * 40)
    waiting(outside)
    await outside.deliver()
    (delivery,) = await outside.deliveries(new.webhook)
    assert delivery.status is DeliveryStatus.pending
    assert "another key" in (delivery.answer or "")
    assert receiver.received == []


async def test_a_removed_webhook_gets_nothing(outside: Outside, receiver: Receiver) -> None:
    new = await outside.add_webhook(receiver.url())
    await outside.subscriptions.remove(VIEWER, SubscriptionSort.webhook, new.webhook.id, "dana")
    waiting(outside)
    await outside.deliver()
    assert receiver.received == []


async def test_what_may_not_be_sent_opens_no_transaction(
    outside: Outside, receiver: Receiver
) -> None:
    new = await outside.add_webhook(receiver.url())
    receiver.hangs = True
    waiting(outside)
    await outside.dispatch()
    await outside.courier.deliver_due()
    outside.make_due()
    reached: list[str] = []
    checkpoints.arm(reached.append)
    await outside.courier.deliver_due()
    assert reached == [], "the courier is busy with it"
    checkpoints.arm(None)
    receiver.let_go()
    await outside.courier.settle()
    waiting(outside)
    await outside.dispatch()
    await outside.subscriptions.remove(VIEWER, SubscriptionSort.webhook, new.webhook.id, "dana")
    checkpoints.arm(reached.append)
    await outside.courier.deliver_due()
    assert reached == [], "it is removed"
    assert receiver.kinds == ["opened"]


async def test_nothing_is_said_to_be_sent_again_to_a_webhook_that_is_off(
    outside: Outside, receiver: Receiver
) -> None:
    new = await outside.add_webhook(receiver.url())
    waiting(outside)
    await outside.deliver()
    await outside.subscriptions.remove(VIEWER, SubscriptionSort.webhook, new.webhook.id, "dana")
    (delivery,) = await outside.deliveries(new.webhook)
    with pytest.raises(Conflict, match="Removed by dana"):
        await outside.subscriptions.replay(VIEWER, delivery.id)
    with pytest.raises(Conflict, match="Add it anew"):
        await outside.subscriptions.replay_since(VIEWER, new.webhook.id, 0)
    assert list(await outside.deliveries(new.webhook)) == [delivery]


async def test_deliveries_are_kept_for_a_time_and_what_is_still_to_be_sent_for_longer(
    outside: Outside, receiver: Receiver
) -> None:
    receiver.status = 500
    kept = await outside.add_webhook(receiver.url())
    removed = await outside.add_webhook(receiver.url())
    waiting(outside)
    await outside.deliver()
    await outside.subscriptions.remove(VIEWER, SubscriptionSort.webhook, removed.webhook.id, "dana")
    (delivery,) = await outside.deliveries(kept.webhook)
    before, later = delivery.created_at, delivery.created_at + timedelta(seconds=1)
    assert outside.stored.do(lambda tx: prune(tx, before)) == 0
    assert outside.stored.do(lambda tx: prune(tx, later)) == 1
    assert await outside.deliveries(removed.webhook) == []
    assert [item.status for item in await outside.deliveries(kept.webhook)] == ["pending"]


async def test_a_private_address_is_refused_where_it_is_not_allowed(
    stored: Stored, tmp_path: Path, receiver: Receiver
) -> None:
    outside = Outside(stored, Settings(home=tmp_path))
    with pytest.raises(InvalidInput, match="no public address"):
        await outside.add_webhook(receiver.url())
    # A name that leads there is refused when it is resolved.
    port = receiver.address.rpartition(":")[2]
    url = f"https://localhost:{port}/hook"
    new = await outside.subscriptions.add_webhook(VIEWER, url, by="dana")
    stored.call(question(), user_id="ann")
    await outside.deliver()
    (delivery,) = await outside.deliveries(new.webhook)
    assert "no public address" in (delivery.answer or "")
    assert receiver.received == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.1", "224.0.0.1", "100.64.0.1"),
        *("[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("[fec0::1]", "[fc00::1]", "2130706433", "127.1"),
        # Others that lead to IPv4 addresses, and what a cloud has between its own.
        *("[::7f00:1]", "[64:ff9b:1::7f00:1]", "[::ffff:0:7f00:1]", "192.0.0.192"),
    ],
)
async def test_every_spelling_of_a_private_address_is_refused(address: str) -> None:
    guard = AddressGuard()
    with pytest.raises((InvalidInput, AddressRefusedError)):
        await resolved(guard, f"https://{address}/")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "https:///x", "https://user:pw@example.com/", "example.com"),
        *("https://example.com/#x", "https://exa mple.com/", "https://[::1", "http://8.8.8.8/"),
        f"https://example.com/{'x' * 2000}",
    ],
)
def test_what_is_no_address_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        AddressGuard().check_url(url)
