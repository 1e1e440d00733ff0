"""What an attempt at a call has begun is stored, however often the attempt is told to stop."""

import asyncio
import threading

from pydantic import JsonValue
from sqlmodel import Session

from kern.activities.attempt import Attempt
from kern.activities.executions import Executions
from kern.activities.result_journal import ResultKeeper
from kern.activities.tool_loop import Ended, Returned
from kern.db.engine.stores import MemoryStore
from kern.db.turns import calls
from kern.db.turns.attempts import Claim, Execution, Settled
from kern.values.states import Effect, ToolCallStatus
from tests.support.stored_runs import NOW, Stored
from tests.support.templates import memory_with_tables
from tests.support.waiting import wait_until


def execution(call_id: str = "call") -> Execution:
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

    def __init__(self) -> None:
        db = MemoryStore()
        super().__init__(db, execution(), "token", "tool_call", results=ResultKeeper(db))
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
    executions, attempt, ends = Executions(database), Slow(), threading.Event()

    def pay() -> str:
        ends.wait(30)
        return "paid"

    activity = asyncio.create_task(executions.wait(attempt, pay, {}))
    await asyncio.sleep(0)
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
