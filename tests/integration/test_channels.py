"""Channels: people are reached by mail about what waits for them, once, and it is a fact."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from kern.client.service.subscriptions import Subscriptions
from kern.contracts.subscriptions import (
    DeliveryStatus,
    SubscriptionFilter,
    SubscriptionSort,
)
from kern.db.decisions import deciding
from kern.errors import InvalidInput
from kern.process import checkpoints
from kern.process.settings import Settings
from kern.requirements import Requirement
from kern.tools import Approval, Escalation
from tests.support.mail_server import Mailbox, mail_server
from tests.support.outbound import VIEWER, Outside
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import NAMES, Stored, after, opened

DANA, RAVI = "dana@example.com", "ravi@example.com"


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as served:
        yield served


@pytest.fixture
async def outside(stored: Stored, tmp_path: Path) -> AsyncIterator[Outside]:
    yield Outside(stored, Settings(home=tmp_path, public_url="https://kern.example.com/"))
    checkpoints.arm(None)


def for_dana(
    stored: Stored, remind: timedelta | None = None, escalate: Escalation | None = None
) -> Requirement:
    approval = Approval(candidates="dana", due=timedelta(hours=2), remind=remind, escalate=escalate)
    return stored.gated(approval=approval)


async def test_whoever_may_decide_is_told_what_waits_until_when_and_where(
    outside: Outside, mailbox: Mailbox
) -> None:
    await outside.add_channel("Dana", mailbox.url(DANA))
    await outside.add_channel("ravi", mailbox.url(RAVI))
    requirement = for_dana(outside.stored)
    await outside.deliver()
    assert mailbox.subjects(RAVI) == []
    assert mailbox.subjects(DANA) == ["refund waits for a decision"]
    text = mailbox.text(DANA)
    assert "Asked by: agent > refund" in text
    assert "For: ann" in text
    assert "Until 2026-05-04 05:02 UTC. If nobody decides, it is rejected." in text
    assert f"https://kern.example.com/desk/requirements/{requirement.id}" in text
    assert "1042" not in text
    assert outside.notified(requirement) == [("Dana", "opened")]


async def test_reminders_and_escalations_reach_whom_they_name(
    outside: Outside, mailbox: Mailbox
) -> None:
    await outside.add_channel("dana", mailbox.url(DANA))
    await outside.add_channel("group:leads", mailbox.url(RAVI))
    requirement = for_dana(
        outside.stored,
        remind=timedelta(minutes=30),
        escalate=Escalation(to="group:leads", after=timedelta(minutes=45)),
    )
    await outside.deliver()
    assert mailbox.subjects(RAVI) == []
    for minutes in (31, 46):
        outside.stored.do(partial(deciding.expire, gate_id=requirement.id, now=after(60 * minutes)))
        await outside.deliver()
    assert mailbox.subjects(DANA) == [
        "refund waits for a decision",
        "Reminder: refund waits for a decision",
    ]
    assert mailbox.subjects(RAVI) == ["Escalated to you: refund waits for a decision"]
    assert ("group:leads", "escalated") in outside.notified(requirement)


async def test_what_was_decided_meanwhile_is_not_told(outside: Outside, mailbox: Mailbox) -> None:
    channel = await outside.add_channel("dana", mailbox.url(DANA))
    outside.stored.resolve(for_dana(outside.stored), by="dana")
    await outside.deliver()
    assert mailbox.mails == []
    (delivery,) = await outside.deliveries(channel)
    assert delivery.status is DeliveryStatus.dropped


async def test_a_digest_says_everything_at_once(outside: Outside, mailbox: Mailbox) -> None:
    await outside.add_channel("dana", mailbox.url(DANA), digest=timedelta(hours=1))
    requirements = [for_dana(outside.stored) for _ in range(3)]
    await outside.deliver()
    assert mailbox.mails == []
    outside.stored.resolve(requirements[0], by="dana")
    outside.make_due()
    await outside.deliver()
    assert mailbox.subjects(DANA) == ["2 decisions wait for you"]
    assert mailbox.text(DANA).count("/desk/requirements/") == 2
    assert [outside.notified(item) for item in requirements] == [
        [],
        [("dana", "opened")],
        [("dana", "opened")],
    ]


async def test_all_of_a_digest_is_due_together(
    outside: Outside, mailbox: Mailbox, stored: Stored
) -> None:
    channel = await outside.add_channel("dana", mailbox.url(DANA), digest=timedelta(hours=1))
    for _ in range(2):
        for_dana(stored)
        await outside.deliver()
    deliveries = await outside.deliveries(channel)
    assert len({item.next_at for item in deliveries}) == 1
    assert deliveries[0].next_at > datetime.now(UTC) + timedelta(minutes=50)


async def test_a_server_that_refuses_is_tried_again_and_tells_once(
    outside: Outside, mailbox: Mailbox
) -> None:
    channel = await outside.add_channel("dana", mailbox.url(DANA))
    mailbox.refuses = 1
    requirement = for_dana(outside.stored)
    await outside.deliver()
    (delivery,) = await outside.deliveries(channel)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.pending, 1)
    for _ in range(3):
        outside.make_due()
        await outside.deliver()
    assert len(mailbox.mails) == 1
    assert outside.notified(requirement) == [("dana", "opened")]


async def test_a_channel_tells_only_of_the_risks_that_it_is_for(
    outside: Outside, mailbox: Mailbox
) -> None:
    await outside.add_channel("dana", mailbox.url(DANA), only=SubscriptionFilter(risks=("high",)))
    for_dana(outside.stored)
    await outside.deliver()
    assert mailbox.mails == []


async def test_what_anybody_may_decide_reaches_everybody_but_the_excluded(
    outside: Outside, mailbox: Mailbox
) -> None:
    await outside.add_channel("dana", mailbox.url(DANA))
    await outside.add_channel("ravi", mailbox.url(RAVI))
    outside.stored.gated(approval=Approval(excluded="ravi"))
    await outside.deliver()
    assert len(mailbox.subjects(DANA)) == 1
    assert mailbox.subjects(RAVI) == []


async def test_the_address_of_a_channel_is_neither_shown_nor_readable(
    outside: Outside, mailbox: Mailbox, stored: Stored
) -> None:
    await outside.add_channel("dana", mailbox.url(DANA))
    (channel,) = await outside.subscriptions.read_all(VIEWER, SubscriptionSort.channel)
    assert DANA not in channel.model_dump_json()
    assert channel.address == "mailto://"
    kept = stored.look(
        lambda tx: execute_sql(tx, "SELECT address || secret FROM kern_subscriptions").scalar()
    )
    assert DANA not in str(kept)


@pytest.mark.parametrize("url", ["nonsense", "nothing://here", "", "mailto://"])
async def test_a_url_that_reaches_nobody_is_refused(outside: Outside, url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        await outside.subscriptions.add_channel(VIEWER, "dana", url, by="mia")


@pytest.mark.parametrize("recipient", ["", "@requester", "a\u200bb"])
async def test_a_recipient_that_is_none_is_refused(
    outside: Outside, mailbox: Mailbox, recipient: str
) -> None:
    with pytest.raises(InvalidInput):
        await outside.add_channel(recipient, mailbox.url(DANA))


async def test_without_a_key_no_secret_is_kept(stored: Stored, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"home": tmp_path, "database_url": "postgresql://somewhere/kern"}
    )
    subscriptions = Subscriptions(stored.database, settings)
    with pytest.raises(InvalidInput, match="KERN_SECRET_KEY"):
        await subscriptions.add_webhook(VIEWER, "https://example.com/", by="mia")
    assert await subscriptions.read_all(VIEWER, SubscriptionSort.webhook) == []
