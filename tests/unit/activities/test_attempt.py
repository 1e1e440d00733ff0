"""What an attempt at a call has begun is stored, however often the attempt is told to stop."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue
from sqlmodel import Session, select
from temporalio.exceptions import ApplicationError

from kern.activities.attempt import Attempt
from kern.activities.executions import Executions
from kern.activities.result_journal import ResultKeeper
from kern.activities.tool_loop import Ended, Returned
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.engine.tables import ToolCallRow
from kern.db.runs import lifecycle
from kern.db.turns import calls
from kern.db.turns.attempts import Claim, Execution, Settled
from kern.values.states import Effect, ToolCallStatus
from tests.support.stored_runs import NOW, Stored
from tests.support.templates import memory_with_tables
from tests.support.waiting import wait_until


def execution(call_id: str) -> Execution:
    return Execution(
        component_id="one",
        name="pay",
        arguments={},
        run_id="run",
        tenant="",
        session_id="session",
        user_id=None,
        tool_call_id=call_id,
        idempotency_key=call_id,
        attempt=1,
        timeout=None,
        retries=0,
        effect=Effect.once,
    )


class Slow(Attempt[str]):
    """An attempt that takes two steps to store what the call came to."""

    def __init__(self, db: Store, call_id: str) -> None:
        super().__init__(db, execution(call_id), "token", "tool_call", results=ResultKeeper(db))
        self.begins, self.may_store = asyncio.Event(), asyncio.Event()
        self.ended = asyncio.Event()
        self.stored: list[Ended[str]] = []

    def outcome_of(self, value: object) -> str:
        return str(value)

    async def end_as_happened(self, result: JsonValue) -> None:
        raise NotImplementedError

    async def end(self, ended: Ended[str], *, is_active: bool = True) -> None:  # noqa: ARG002  nothing follows here
        self.begins.set()
        await self.may_store.wait()
        self.stored.append(ended)
        self.ended.set()


async def test_a_result_is_stored_though_its_activity_is_cancelled_again_and_again() -> None:
    database = memory_with_tables()
    stored, begun, ends = Stored(database), threading.Event(), threading.Event()
    call_id = stored.call()
    stored.take(call_id, "token")
    executions, attempt = Executions(database), Slow(database, call_id)

    def pay() -> str:
        begun.set()
        ends.wait(30)
        return "paid"

    activity = asyncio.create_task(executions.wait(attempt, pay, {}))
    assert await asyncio.to_thread(begun.wait, 20)
    for _ in range(2):
        activity.cancel()
        await asyncio.sleep(0)
    ends.set()
    async with asyncio.timeout(20):
        await attempt.begins.wait()
        activity.cancel()
        await asyncio.wait({activity})
        attempt.may_store.set()
        await attempt.ended.wait()
    assert attempt.stored == [Returned("paid")]
    executions.close()
    database.close()


async def test_what_was_taken_by_an_activity_that_is_being_stopped_is_in_no_doubt() -> None:
    database, commits = memory_with_tables(), threading.Event()
    executions = Executions(database)
    stored = Stored(database)
    call_id = stored.call()

    def begin(tx: Session) -> Execution | Settled:
        commits.wait(30)
        return calls.begin(tx, call_id, Claim("token"), NOW)

    def taken(begun: Execution | Settled) -> Execution | None:
        return begun if isinstance(begun, Execution) else None

    activity = asyncio.create_task(executions.begin(begin, taken, "token"))
    await asyncio.sleep(0)
    for _ in range(2):
        activity.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({activity})
    commits.set()
    given_back = "tool_call_failed"
    await asyncio.to_thread(
        wait_until, lambda: given_back in stored.events(stored.run_of(call_id)), timeout=20
    )
    assert stored.execution(call_id).status is ToolCallStatus.waiting
    executions.close()
    database.close()


@pytest.mark.parametrize("ends", ["taken over", "cancelled"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_has_not_begun_never_does_once_its_row_is_another_s(
    ends: str,
    is_async: bool,  # noqa: FBT001
) -> None:
    """Whatever blocked the attempt between taking its call and beginning it."""
    database, executed = memory_with_tables(), list[str]()
    stored = Stored(database)
    call_id = stored.call(user_id="ann")
    stored.take(call_id, "token")
    executions, attempt = Executions(database), Slow(database, call_id)

    def pay() -> None:
        executed.append("paid")

    async def pay_async() -> None:
        executed.append("paid")

    if ends == "cancelled":
        run_id = stored.run_of(call_id)
        stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), NOW))
    else:
        assert isinstance(stored.take(call_id, "other"), Execution)
    with pytest.raises(ApplicationError, match="no longer this attempt's"):
        await executions.wait(attempt, pay_async if is_async else pay, {})
    assert executed == []
    if ends == "taken over":
        assert isinstance(stored.begin(call_id, "other"), Execution)
    executions.close()
    database.close()


async def test_a_call_that_begins_says_when() -> None:
    database = memory_with_tables()
    stored, begun_at = Stored(database), list[object]()
    call_id = stored.call()
    stored.take(call_id, "token")
    executions, attempt = Executions(database), Slow(database, call_id)
    attempt.may_store.set()
    begun = select(ToolCallRow.begun_at).where(ToolCallRow.id == call_id)

    def pay() -> None:
        begun_at.extend(stored.look(lambda tx: list(tx.exec(begun))))

    assert stored.look(lambda tx: list(tx.exec(begun))) == [None]
    before = datetime.now(UTC)
    await executions.wait(attempt, pay, {})
    [moment] = begun_at
    assert isinstance(moment, datetime)
    assert moment >= before
    executions.close()
    database.close()


@pytest.mark.parametrize("ends", ["raises", "is cancelled"])
async def test_an_attempt_that_ends_before_its_code_gives_the_call_back(ends: str) -> None:
    database = memory_with_tables()
    stored = Stored(database)
    call_id = stored.call()
    stored.take(call_id, "token")
    executions = Executions(database)

    async def prepare() -> None:
        async with executions.before_begin(execution(call_id), "token"):
            if ends == "raises":
                raise ConnectionError
            await asyncio.Event().wait()

    preparing = asyncio.create_task(prepare())
    await asyncio.sleep(0)
    preparing.cancel()
    await asyncio.wait({preparing})
    found = stored.execution(call_id)
    assert (found.status, found.attempts) == (ToolCallStatus.waiting, 0)
    executions.close()
    database.close()
