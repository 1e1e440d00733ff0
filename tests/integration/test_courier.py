"""The courier under a real Temporal: it may deliver anything twice, and loses nothing it cannot."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from kern.client.server.embedded import status
from kern.client.server.start import free_port
from kern.client.temporal import connection
from kern.client.temporal import courier as courier_module
from kern.client.temporal.connection import queue_of
from kern.client.temporal.courier import Courier
from kern.contracts.messages import RunCursor
from kern.contracts.viewer import OPERATOR
from kern.db.journal import outbox
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.runs import lifecycle
from kern.errors import Unavailable
from kern.process.settings import Settings
from kern.values.ids import new_id
from tests.support.stored_runs import Stored, opened
from tests.support.temporal_server import temporal_server

STARTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
# As if the installation had chosen it.
PREFIX = "kern:0123456789ab:"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """One database: what the courier asks of it is the same on all."""
    with opened("sqlite", tmp_path) as database:
        database.database.workflow_prefix = PREFIX
        yield database


@pytest.fixture
async def temporal(settings: Settings) -> Client:
    """The folder's Temporal. No worker runs, so what is started stays as it is."""
    return await connection.connect(status(settings.home).address)


@pytest.fixture
def courier(stored: Stored, temporal: Client, settings: Settings) -> Courier:
    return Courier(stored.database, temporal, settings)


@pytest.fixture
async def deaf(stored: Stored, settings: Settings) -> Courier:
    """A courier whose Temporal is away."""
    client = await connection.connect(f"127.0.0.1:{free_port()}", lazy=True)
    return Courier(stored.database, client, settings)


def accept(stored: Stored) -> Delivery:
    _, delivery = stored.accept(at=datetime.now(UTC))
    assert delivery is not None
    return delivery


def again(delivery: Delivery) -> Delivery:
    """Return a delivery as a relay claims it: somebody may have made it before."""
    return replace(delivery, is_new=False)


def left(stored: Stored, run_id: str) -> list[DeliveryKind]:
    """Return the kinds of the run's rows in the outbox."""
    rows = stored.look(lambda tx: outbox.deliveries_of(tx, run_id))
    return [row.kind for row in rows]


def cancel(stored: Stored, run_id: str) -> Delivery:
    now = datetime.now(UTC)
    delivery = stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, now))
    assert delivery is not None
    return delivery


def resolved(stored: Stored) -> Delivery:
    """Return the delivery of a decision, in a run whose start nobody has to deliver any more."""
    requirement = stored.gated()
    stored.do(lambda tx: outbox.forget(tx, requirement.run_id))
    stored.resolve(requirement)
    (delivery,) = stored.look(lambda tx: outbox.deliveries_of(tx, requirement.run_id))
    assert delivery.kind is DeliveryKind.resolved
    return delivery


async def describe(temporal: Client, run_id: str) -> WorkflowExecutionDescription | None:
    try:
        return await temporal.get_workflow_handle(PREFIX + run_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def events(temporal: Client, run_id: str) -> Sequence[EventType.ValueType]:
    history = await temporal.get_workflow_handle(PREFIX + run_id).fetch_history()
    return [event.event_type for event in history.events]


async def cursor(temporal: Client, run_id: str) -> RunCursor:
    """Return what the run's workflow was started with."""
    history = await temporal.get_workflow_handle(PREFIX + run_id).fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    (value,) = await temporal.data_converter.decode(payloads, [RunCursor])
    assert isinstance(value, RunCursor)
    return value


async def signals_of(temporal: Client, run_id: str) -> list[tuple[str, str]]:
    """Return the names of the signals that the run's workflow got, and the requirements in them."""
    signals: list[tuple[str, str]] = []
    async for event in temporal.get_workflow_handle(PREFIX + run_id).fetch_history_events():
        if event.event_type == SIGNALED:
            signal = event.workflow_execution_signaled_event_attributes
            (value,) = await temporal.data_converter.decode(signal.input.payloads, [dict])
            signals.append((signal.signal_name, value.get("requirement_id", "")))
    return signals


async def test_a_start_delivered_twice_starts_one_workflow(
    stored: Stored, temporal: Client, courier: Courier, settings: Settings
) -> None:
    delivery = accept(stored)
    assert await courier.deliver(delivery)
    assert left(stored, delivery.run_id) == []
    first = await describe(temporal, delivery.run_id)
    assert await courier.deliver(again(delivery))
    assert await courier.deliver(delivery)
    second = await describe(temporal, delivery.run_id)
    assert first is not None
    assert second is not None
    assert (first.run_id, first.workflow_type) == (second.run_id, "AgentRun")
    assert first.task_queue == queue_of("agent")
    assert await cursor(temporal, delivery.run_id) == RunCursor(
        run_id=delivery.run_id,
        heartbeat=1.0,
        turns_per_history=settings.turns_per_history,
        prefix=PREFIX,
        bookkeeping_queue=f"{PREFIX}bookkeeping",
    )


async def test_a_start_of_a_run_that_has_ended_starts_nothing(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    delivery = accept(stored)
    cancel(stored, delivery.run_id)
    assert await courier.deliver(again(delivery))
    assert await describe(temporal, delivery.run_id) is None


async def test_a_run_whose_workflow_was_closed_is_started_where_its_rows_stand(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    delivery = accept(stored)
    await courier.deliver(delivery)
    first = await describe(temporal, delivery.run_id)
    stored.answer(delivery.run_id)
    await temporal.get_workflow_handle(PREFIX + delivery.run_id).terminate()
    stored.sql(
        "UPDATE kern_runs SET status = 'running', turn = 7 WHERE id = :id", id=delivery.run_id
    )
    await courier.start(delivery.run_id)
    second = await describe(temporal, delivery.run_id)
    assert first is not None
    assert second is not None
    assert first.run_id != second.run_id
    assert (await cursor(temporal, delivery.run_id)).turn == 7


async def test_a_start_of_a_run_that_is_gone_does_nothing(
    temporal: Client, courier: Courier
) -> None:
    run_id = new_id()
    await courier.start(run_id)
    assert await describe(temporal, run_id) is None


async def test_a_resolution_delivered_twice_names_the_same_requirement(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    delivery = resolved(stored)
    await courier.start(delivery.run_id)
    assert await courier.deliver(delivery)
    assert left(stored, delivery.run_id) == []
    assert await courier.deliver(again(delivery))
    expected = ("resolved", delivery.requirement_id)
    assert await signals_of(temporal, delivery.run_id) == [expected, expected]


async def test_a_resolution_starts_a_workflow_that_temporal_has_lost(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    delivery = resolved(stored)
    assert await describe(temporal, delivery.run_id) is None
    assert await courier.deliver(delivery)
    assert left(stored, delivery.run_id) == []
    assert await signals_of(temporal, delivery.run_id) == [("resolved", delivery.requirement_id)]


async def test_a_resolution_in_a_run_that_has_ended_is_delivered_to_nobody(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    delivery = resolved(stored)
    cancel(stored, delivery.run_id)
    assert await courier.deliver(delivery)
    assert await describe(temporal, delivery.run_id) is None


async def test_a_cancel_delivered_twice_is_one_request(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    run_id = accept(stored).run_id
    await courier.start(run_id)
    delivery = cancel(stored, run_id)
    assert await courier.deliver(delivery)
    assert await courier.deliver(again(delivery))
    assert (await events(temporal, run_id)).count(CANCEL_REQUESTED) == 1


async def test_a_cancel_without_a_workflow_has_nothing_to_do(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    run_id = accept(stored).run_id
    delivery = cancel(stored, run_id)
    assert await courier.deliver(delivery)
    assert left(stored, run_id) == []
    assert await describe(temporal, run_id) is None


async def test_a_cancel_from_before_a_run_was_reopened_is_dropped(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    run_id = accept(stored).run_id
    await courier.start(run_id)
    delivery = cancel(stored, run_id)
    stored.sql("UPDATE kern_runs SET status = 'running' WHERE id = :id", id=run_id)
    assert await courier.deliver(delivery)
    assert CANCEL_REQUESTED not in await events(temporal, run_id)


async def test_a_reopened_run_is_signalled_or_started_anew(
    stored: Stored, temporal: Client, courier: Courier
) -> None:
    start = accept(stored)
    reopen = replace(start, id=new_id(), kind=DeliveryKind.reopen)
    assert await courier.deliver(reopen)
    first = await describe(temporal, start.run_id)
    assert await courier.deliver(reopen)
    second = await describe(temporal, start.run_id)
    assert first is not None
    assert second is not None
    assert first.run_id == second.run_id
    assert [name for name, _ in await signals_of(temporal, start.run_id)] == [
        "reopened",
        "reopened",
    ]


async def test_while_temporal_is_away_the_row_stays(
    stored: Stored, deaf: Courier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="kern.courier")
    for delivery in (accept(stored), resolved(stored), cancel(stored, accept(stored).run_id)):
        assert not await deaf.deliver(delivery)
        assert delivery.kind in left(stored, delivery.run_id)
        await deaf.deliver_accepted(delivery)
        with pytest.raises(Unavailable, match="kept and delivered later"):
            await deaf.send(delivery)
    await deaf.close()
    assert delivery.kind in left(stored, delivery.run_id)
    assert caplog.text.count("delivery_postponed") == 6


async def test_a_delivery_that_failed_succeeds_once_temporal_is_back(
    stored: Stored, settings: Settings
) -> None:
    with temporal_server() as server:
        courier = Courier(stored.database, await connection.connect(server.address), settings)
        delivery = accept(stored)
        server.kill()
        assert not await courier.deliver(delivery)
        server.restart()
        assert await courier.deliver(again(delivery))
        assert left(stored, delivery.run_id) == []


async def test_rows_of_what_was_just_accepted_are_deleted_together(
    stored: Stored, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "_BATCH_SECONDS", 60.0)
    deliveries = [accept(stored) for _ in range(3)]
    for delivery in deliveries:
        await courier.deliver_accepted(delivery)
        assert left(stored, delivery.run_id) == [DeliveryKind.start]
    await courier.close()
    assert [left(stored, delivery.run_id) for delivery in deliveries] == [[], [], []]


async def test_rows_that_cannot_be_deleted_are_left_to_a_relay(
    stored: Stored,
    courier: Courier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def away(transaction: object) -> None:
        raise Unavailable("the database is away")

    delivery = accept(stored)
    await courier.deliver_accepted(delivery)
    with monkeypatch.context() as patched:
        patched.setattr(stored.database, "write", away)
        await courier.close()
    assert "confirmation_failed" in caplog.text
    assert left(stored, delivery.run_id) == [DeliveryKind.start]
    assert await courier.deliver(again(delivery))
    assert left(stored, delivery.run_id) == []
