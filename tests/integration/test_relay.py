"""The relay under a real Temporal: it delivers what nobody delivered, and finds what was lost."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from kern.client.server.embedded import status
from kern.client.server.start import free_port
from kern.client.temporal import connection, reconciling
from kern.client.temporal.courier import Courier
from kern.client.temporal.relay import Relay
from kern.contracts.messages import OpenWork, RunCursor
from kern.contracts.viewer import OPERATOR
from kern.db.engine.tables import OutboxRow, RunRow
from kern.db.journal import outbox, seals, verification
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.runs import lifecycle
from kern.errors import Unavailable
from kern.process.settings import Settings
from kern.tools import Approval
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.stored_runs import Stored, opened, question

SECONDS = 20.0
# As if the installation had chosen it.
PREFIX = "kern:0123456789ab:"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """One database: that rows are claimed once is tested on all, without any relay."""
    with opened("sqlite", tmp_path) as database:
        database.database.workflow_prefix = PREFIX
        yield database


@pytest.fixture
async def temporal(settings: Settings) -> Client:
    """The folder's Temporal. No worker runs, so what is started stays as it is."""
    return await connection.connect(status(settings.home).address)


@pytest.fixture
async def absent() -> Client:
    """A Temporal that is away."""
    return await connection.connect(f"127.0.0.1:{free_port()}", lazy=True)


@pytest.fixture
def relay(stored: Stored, temporal: Client, settings: Settings) -> Relay:
    return relay_of(stored, temporal, settings)


def relay_of(stored: Stored, client: Client, settings: Settings, seconds: float = 60.0) -> Relay:
    return Relay(stored.database, client, Courier(stored.database, client, settings), seconds)


@contextlib.asynccontextmanager
async def running(relay: Relay) -> AsyncGenerator[None]:
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def accept(stored: Stored, *, seconds_ago: float = 10.0, **request: Any) -> str:  # noqa: ANN401
    """Store a run whose accepting process died before it delivered anything."""
    run_id, _ = stored.accept(at=ago(seconds_ago), **request)
    return run_id


def lose(stored: Stored, run_id: str, *, seconds_ago: float = 3600.0) -> None:
    """Have nothing left to deliver of a run, and its row unchanged for a while."""
    stored.do(lambda tx: outbox.forget(tx, run_id))
    stored.sql(
        "UPDATE kern_runs SET updated_at = :at WHERE id = :id", id=run_id, at=ago(seconds_ago)
    )


def left(stored: Stored, run_id: str) -> list[Delivery]:
    return stored.look(lambda tx: outbox.deliveries_of(tx, run_id))


def wait_time(stored: Stored, run_id: str) -> float:
    """Return after how many seconds the run's row in the outbox becomes due."""

    def read(tx: Session) -> datetime:
        row: OutboxRow = tx.exec(select(OutboxRow).where(OutboxRow.run_id == run_id)).one()
        return row.next_at

    return (stored.look(read) - datetime.now(UTC)).total_seconds()


def make_due(stored: Stored) -> None:
    stored.do(lambda tx: outbox.make_due(tx, ago(1)))


async def describe(temporal: Client, run_id: str) -> WorkflowExecutionDescription | None:
    try:
        return await temporal.get_workflow_handle(PREFIX + run_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def turn_of(temporal: Client, run_id: str) -> int:
    """Return the turn at which the run's workflow began."""
    history = await temporal.get_workflow_handle(PREFIX + run_id).fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    (value,) = await temporal.data_converter.decode(payloads, [RunCursor])
    assert isinstance(value, RunCursor)
    return value.turn


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110  other processes change it
            await asyncio.sleep(0.02)


async def test_it_delivers_what_the_accepting_process_did_not(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored)
    assert await relay.deliver_due() == 1
    assert await describe(temporal, run_id) is not None
    assert left(stored, run_id) == []
    assert await relay.deliver_due() == 0


async def test_it_leaves_what_was_just_accepted_to_the_process_that_accepted_it(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored, seconds_ago=0)
    assert await relay.deliver_due() == 0
    assert await describe(temporal, run_id) is None
    assert len(left(stored, run_id)) == 1


async def test_it_delivers_more_than_one_batch(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_ids = [accept(stored) for _ in range(25)]
    assert await relay.deliver_due() == 25
    for run_id in run_ids:
        assert await describe(temporal, run_id) is not None
        assert left(stored, run_id) == []


async def test_it_leaves_what_a_newer_version_enqueued(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    known, newer = accept(stored), accept(stored)
    stored.sql("UPDATE kern_outbox SET kind = 'newer' WHERE run_id = :id", id=newer)
    assert await relay.deliver_due() == 1
    assert await describe(temporal, known) is not None
    assert await describe(temporal, newer) is None
    stored.sql("UPDATE kern_outbox SET kind = 'start' WHERE run_id = :id", id=newer)
    assert len(left(stored, newer)) == 1


async def test_while_temporal_is_away_it_asks_ever_more_rarely(
    stored: Stored, absent: Client, settings: Settings
) -> None:
    run_id = accept(stored)
    relay = relay_of(stored, absent, settings)
    waits = []
    for _ in range(6):
        assert await relay.deliver_due() == 1
        assert await relay.deliver_due() == 0
        waits.append(wait_time(stored, run_id))
        make_due(stored)
    # The wait was set before the delivery failed, which takes a moment.
    for wait, expected in zip(waits, (2, 4, 8, 16, 30, 30), strict=True):
        assert expected * 0.25 < wait <= expected, waits
    assert len(left(stored, run_id)) == 1


async def test_what_was_postponed_is_delivered_once_temporal_is_back(
    stored: Stored, temporal: Client, absent: Client, settings: Settings
) -> None:
    run_id = accept(stored)
    await relay_of(stored, absent, settings).deliver_due()
    make_due(stored)
    assert await relay_of(stored, temporal, settings).deliver_due() == 1
    assert await describe(temporal, run_id) is not None
    assert left(stored, run_id) == []


async def test_another_relay_takes_over_what_a_dead_one_had_claimed(
    stored: Stored, temporal: Client, relay: Relay, settings: Settings
) -> None:
    class Dying(Courier):
        async def deliver(self, delivery: Delivery) -> bool:
            claimed.append(delivery.run_id)
            await asyncio.Event().wait()
            return True

    claimed = list[str]()
    run_id = accept(stored)
    dying = Relay(stored.database, temporal, Dying(stored.database, temporal, settings), 60)
    async with running(dying):
        await until(lambda: asyncio.sleep(0, claimed))
    assert claimed == [run_id]
    assert await relay.deliver_due() == 0
    make_due(stored)
    assert await relay.deliver_due() == 1
    assert await describe(temporal, run_id) is not None
    assert left(stored, run_id) == []


async def test_two_relays_share_the_work(
    stored: Stored, temporal: Client, relay: Relay, settings: Settings
) -> None:
    run_ids = [accept(stored) for _ in range(10)]
    other = relay_of(stored, temporal, settings)
    assert sum(await asyncio.gather(relay.deliver_due(), other.deliver_due())) == 10
    assert [left(stored, run_id) for run_id in run_ids] == [[]] * 10


async def test_what_is_due_at_once_wakes_it(stored: Stored, temporal: Client, relay: Relay) -> None:
    run_id = accept(stored)
    stored.do(lambda tx: outbox.forget(tx, run_id))

    def enqueue(tx: Session) -> None:
        run = tx.get_one(RunRow, run_id)
        outbox.enqueue(tx, run, DeliveryKind.start, datetime.now(UTC), grace=timedelta(0))

    async with running(relay):
        # By itself it looks once a minute.
        await asyncio.sleep(0.3)
        stored.do(enqueue)
        await until(lambda: describe(temporal, run_id))


async def test_it_goes_on_after_the_database_was_away(
    stored: Stored,
    temporal: Client,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    read, failures = stored.database.read, list[int]()

    async def failing_once(transaction: Any) -> Any:  # noqa: ANN401
        if not failures:
            failures.append(1)
            raise Unavailable("the database is away")
        return await read(transaction)

    monkeypatch.setattr(stored.database, "read", failing_once)
    run_id = accept(stored)
    async with running(relay_of(stored, temporal, settings, seconds=0.05)):
        await until(lambda: describe(temporal, run_id))
    assert "the database is away" in caplog.text


async def test_a_run_that_temporal_has_lost_starts_where_its_rows_stand(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored)
    stored.answer(run_id)
    stored.sql("UPDATE kern_runs SET status = 'running', turn = 4 WHERE id = :id", id=run_id)
    lose(stored, run_id)
    await relay.find_lost_runs()
    assert await turn_of(temporal, run_id) == 4


async def test_it_finds_lost_runs_without_being_asked(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored)
    lose(stored, run_id)
    async with running(relay):
        await until(lambda: describe(temporal, run_id))


async def test_runs_that_were_not_lost_are_left_alone(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    fresh, waiting, ended = accept(stored), accept(stored), accept(stored)
    lose(stored, fresh, seconds_ago=5)
    stored.sql("UPDATE kern_runs SET updated_at = :at WHERE id = :id", id=waiting, at=ago(3600))
    stored.do(lambda tx: lifecycle.cancel(tx, ended, OPERATOR, datetime.now(UTC)))
    lose(stored, ended)
    paused = stored.gated().run_id
    lose(stored, paused)
    await relay.find_lost_runs()
    for run_id in (fresh, waiting, ended, paused):
        assert await describe(temporal, run_id) is None


async def test_a_run_whose_workflow_is_open_goes_on(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored)
    await relay.deliver_due()
    first = await describe(temporal, run_id)
    lose(stored, run_id)
    await relay.find_lost_runs()
    second = await describe(temporal, run_id)
    assert first is not None
    assert second is not None
    assert (second.run_id, second.status) == (first.run_id, WorkflowExecutionStatus.RUNNING)
    assert stored.output(run_id).status is RunStatus.pending


@workflow.defn(name="AgentRun")
class Stuck:
    """A workflow that has lost its place, as one may be that a worker has kept in memory."""

    def __init__(self) -> None:
        self._may_end = False

    @workflow.run
    async def run(self, cursor: RunCursor) -> None:  # noqa: ARG002  a run's workflow has one
        await workflow.wait_condition(lambda: self._may_end)

    @workflow.query(name="open_work")
    def open_work(self) -> OpenWork:
        return OpenWork()


@pytest.mark.parametrize("paused", [False, True])
async def test_a_stuck_workflow_is_replaced_once(
    stored: Stored,
    temporal: Client,
    relay: Relay,
    settings: Settings,
    paused: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    overdue = Approval(due=timedelta(minutes=1))
    run_id = stored.gated(approval=overdue).run_id if paused else accept(stored)
    component_id = stored.output(run_id).component_id
    await relay_of(stored, temporal, settings).deliver_due()
    if paused:
        await Courier(stored.database, temporal, settings).start(run_id)
    first = await describe(temporal, run_id)
    assert first is not None
    async with await getting_stuck(temporal, component_id):
        await until(lambda: has_nothing_to_do(temporal, run_id))
        lose(stored, run_id)
        relays = [relay_of(stored, temporal, settings) for _ in range(3)]
        await asyncio.gather(*(one.find_lost_runs() for one in relays))
        second = await describe(temporal, run_id)
        assert second is not None
        assert second.run_id != first.run_id
        assert second.status is WorkflowExecutionStatus.RUNNING
        # It has just begun: it is left alone.
        await relays[0].find_lost_runs()
        third = await describe(temporal, run_id)
    assert third is not None
    assert third.run_id == second.run_id
    assert stored.events(run_id).count("run_restarted") == 1


async def getting_stuck(temporal: Client, component_id: str) -> Worker:
    """Return a worker whose workflows have all lost their places."""
    # Kern's own workers execute Kern's workflows.
    plain = await Client.connect(
        temporal.service_client.config.target_host, data_converter=temporal.data_converter
    )
    return Worker(
        plain,
        task_queue=connection.queue_of(component_id),
        workflows=[Stuck],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def test_the_stuck_workflow_of_a_child_that_has_ended_holds_up_nobody(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    parent, child, active = accept(stored), accept(stored), accept(stored)
    component_id = stored.output(parent).component_id
    await relay.deliver_due()
    first = await describe(temporal, parent)
    async with await getting_stuck(temporal, component_id):
        for run_id in (parent, child, active):
            await until(partial(has_nothing_to_do, temporal, run_id))
        stored.sql(
            "UPDATE kern_runs SET parent_run_id = :parent, status = 'completed' WHERE id = :id",
            id=child,
            parent=parent,
        )
        lose(stored, parent)
        await relay.find_lost_runs()
        second = await describe(temporal, parent)
        ended, other = await describe(temporal, child), await describe(temporal, active)
    assert first is not None
    assert second is not None
    assert second.run_id != first.run_id
    assert ended is not None
    assert ended.status is WorkflowExecutionStatus.TERMINATED
    assert other is not None
    assert other.status is WorkflowExecutionStatus.RUNNING


async def has_nothing_to_do(temporal: Client, run_id: str) -> bool:
    described = await describe(temporal, run_id)
    return described is not None and not described.raw_description.HasField("pending_workflow_task")


async def test_a_run_whose_workflow_was_terminated_has_failed_and_says_so(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored)
    await relay.deliver_due()
    await temporal.get_workflow_handle(PREFIX + run_id).terminate()
    lose(stored, run_id)
    await relay.find_lost_runs()
    output = stored.output(run_id)
    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "ended_outside"
    assert "(terminated)" in output.error.message


async def test_a_requirement_that_is_overdue_brings_its_run_back(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    requirement = stored.gated()
    lose(stored, requirement.run_id)
    stored.sql(
        "UPDATE kern_requirements SET due_at = :at WHERE id = :id", id=requirement.id, at=ago(90)
    )
    await relay.find_lost_runs()
    assert await describe(temporal, requirement.run_id) is not None


async def test_a_run_that_temporal_cannot_name_does_not_hold_up_the_others(
    stored: Stored, temporal: Client, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    lost = accept(stored)
    lose(stored, lost)

    def add_unusable(tx: Session) -> None:
        fields: dict[str, Any] = tx.get_one(RunRow, lost).model_dump()
        # Longer than any id that is accepted today.
        fields.update(id="0" * 2000, number=2)
        tx.add(RunRow(**fields))

    stored.do(add_unusable)
    await relay.find_lost_runs()
    assert await describe(temporal, lost) is not None
    assert "run_check_failed" in caplog.text


async def test_a_queue_that_has_stopped_goes_on(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    session_id = new_id()
    first = accept(stored, session_id=session_id)
    second = accept(stored, session_id=session_id, seconds_ago=5)
    assert stored.output(second).is_queued
    stored.sql("UPDATE kern_runs SET status = 'completed' WHERE id = :id", id=first)
    lose(stored, first)
    lose(stored, second)
    await relay.find_lost_runs()
    assert not stored.output(second).is_queued
    make_due(stored)
    await relay.deliver_due()
    assert await describe(temporal, second) is not None


async def test_a_component_of_a_newer_version_holds_up_no_other(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    known, newer = accept(stored), accept(stored)
    stored.sql("UPDATE kern_outbox SET component_kind = 'graph' WHERE run_id = :id", id=newer)
    assert await relay.deliver_due() == 1
    assert await describe(temporal, known) is not None
    assert len(left(stored, newer)) == 1


async def test_a_delivery_that_breaks_holds_up_no_other(
    stored: Stored,
    temporal: Client,
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, sound = accept(stored), accept(stored)
    deliver = Courier.deliver

    async def breaking(courier: Courier, delivery: Delivery) -> bool:
        if delivery.run_id == broken:
            raise ValueError("a row that nobody thought of")
        return await deliver(courier, delivery)

    monkeypatch.setattr(Courier, "deliver", breaking)
    assert await relay.deliver_due() == 2
    assert await describe(temporal, sound) is not None
    assert (left(stored, sound), len(left(stored, broken))) == ([], 1)
    assert "a row that nobody thought of" in caplog.text


async def test_a_run_that_breaks_its_check_holds_up_no_other(
    stored: Stored,
    temporal: Client,
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The SDK raises a ValueError for a workflow whose status it does not know: a paused one."""
    paused, lost = sorted((accept(stored), accept(stored)))
    for run_id in (paused, lost):
        lose(stored, run_id)
    handle_of = Client.get_workflow_handle

    def breaking(client: Client, workflow_id: str, **options: Any) -> Any:  # noqa: ANN401
        if workflow_id == PREFIX + paused:
            raise ValueError("8 is not a valid WorkflowExecutionStatus")
        return handle_of(client, workflow_id, **options)

    monkeypatch.setattr(Client, "get_workflow_handle", breaking)
    await relay.find_lost_runs()
    monkeypatch.undo()
    assert await describe(temporal, lost) is not None
    assert "8 is not a valid" in caplog.text


async def test_runs_that_rightly_take_long_never_hide_a_lost_one(
    stored: Stored, temporal: Client, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No worker polls, so nobody answers.
    monkeypatch.setattr(reconciling, "_QUERY_TIMEOUT", timedelta(milliseconds=100))
    slow = [accept(stored) for _ in range(2 * 100)]
    assert await relay.deliver_due() > 0
    lost = accept(stored)
    for run_id in (*slow, lost):
        lose(stored, run_id)
    for _ in range(3):
        await relay.find_lost_runs()
    assert await describe(temporal, lost) is not None


@pytest.mark.parametrize("moment", ["remind_at", "escalate_at"])
async def test_a_reminder_that_is_overdue_brings_its_run_back(
    moment: str, stored: Stored, temporal: Client, relay: Relay
) -> None:
    call_id = stored.call(question())
    requirement = stored.requirement(call_id)
    stored.sql("UPDATE kern_runs SET status = 'paused' WHERE id = :id", id=requirement.run_id)
    lose(stored, requirement.run_id)
    await relay.find_lost_runs()
    assert await describe(temporal, requirement.run_id) is None
    stored.sql(
        f"UPDATE kern_requirements SET {moment} = :at WHERE id = :id",  # noqa: S608  a column
        id=requirement.id,
        at=ago(3600),
    )
    await relay.find_lost_runs()
    assert await describe(temporal, requirement.run_id) is not None


async def test_workflows_of_another_installation_have_other_ids(
    stored: Stored, temporal: Client, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with opened("sqlite", folder) as other:
        run_id = accept(stored)
        other.accept(at=ago(10), run_id=run_id, input="Another")
        for place in (stored, other):
            await relay_of(place, temporal, settings).deliver_due()
        prefix = other.database.workflow_prefix
        assert prefix is not None
        assert prefix.startswith("kern:")
        assert prefix != PREFIX
        ids = [PREFIX + run_id, prefix + run_id]
        found = [await temporal.get_workflow_handle(name).describe() for name in ids]
    assert [item.workflow_type for item in found] == ["AgentRun", "AgentRun"]
    assert found[0].run_id != found[1].run_id


async def test_a_workflow_of_another_program_under_a_runs_id_is_an_error_of_the_run(
    stored: Stored, temporal: Client, relay: Relay
) -> None:
    run_id = accept(stored)
    foreign = await temporal.start_workflow("Other", id=PREFIX + run_id, task_queue="nobody")
    await relay.deliver_due()
    lose(stored, run_id)
    await relay.find_lost_runs()
    output = stored.output(run_id)
    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "foreign_workflow"
    assert "'Other'" in output.error.message
    await foreign.terminate()


async def test_it_seals_what_was_decided(
    stored: Stored, absent: Client, settings: Settings
) -> None:
    stored.resolve(stored.gated())
    async with running(relay_of(stored, absent, settings)):
        await until(lambda: is_sealed(stored))
        stored.resolve(stored.gated())
        await until(lambda: is_sealed(stored))
    report = stored.look(verification.verify)
    assert (report.decisions, report.seals, report.unsealed) == (2, 2, 0)


async def test_it_writes_nothing_where_nothing_is_to_be_sealed(
    stored: Stored, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.resolve(stored.gated())
    assert await relay.seal() == 1

    async def write(_transaction: object) -> None:
        pytest.fail("a transaction that writes was begun")

    monkeypatch.setattr(stored.database, "write", write)
    assert await relay.seal() == 0


async def test_it_seals_in_batches_until_everything_is(
    stored: Stored, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "BATCH", 2)
    for _ in range(5):
        stored.resolve(stored.gated())
    assert await relay.seal() == 5


async def test_an_error_while_sealing_ends_no_relay(
    stored: Stored, temporal: Client, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    stored.resolve(stored.gated())
    stored.sql("DELETE FROM kern_seal_head")

    async def is_reported() -> bool:
        return "kern_seal_head" in caplog.text

    async with running(relay):
        await until(is_reported)
        run_id = accept(stored)
        await relay.deliver_due()
        await until(lambda: describe(temporal, run_id))
        genesis = "0" * 64
        stored.sql("INSERT INTO kern_seal_head VALUES ('seals', 0, :hash)", hash=genesis)
        await until(lambda: is_sealed(stored))


async def is_sealed(stored: Stored) -> bool:
    return stored.look(verification.verify).unsealed == 0
