"""Attempts at calls: code of the user's is executed, and what it came to is stored by one of them.

What may not be repeated is never torn in half: it is let end, however late.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from sqlmodel import Session

from kern.activities.tool_loop import Ended, Kept, Raised, ToolLoop
from kern.db.engine.store import Store
from kern.db.turns import calls
from kern.db.turns.calls import Execution, Settled
from kern.errors import NotFound
from kern.process.checkpoints import reach
from kern.values.states import Effect

Begun = TypeVar("Begun")


class Attempt(ABC, Generic[Kept]):
    """One attempt at a call, and what it may write of it.

    Args:
        db: Where the call is kept.
        taken: The call.
        token: Names the attempt.
        what: Under which name its points are reached.
    """

    def __init__(self, db: Store, taken: Execution, token: str, what: str) -> None:
        self.taken = taken
        self.what = what
        self._db = db
        self.token = token

    @abstractmethod
    def outcome_of(self, value: object) -> Kept:
        """Return what is kept of a value that the code returned, and of what it left in the state.

        It is called where the code executes, since it may call code of the user's, and never fails:
        the effect has happened.
        """

    @abstractmethod
    async def end(self, ended: Ended[Kept], *, goes_on: bool = True) -> None:
        """Store what the code came to, or give the call back for another try.

        `goes_on`: the activity is there to do what follows.
        """

    async def give_back(self, reason: str, *, begun: bool = True) -> None:
        """Let another attempt execute the call; one that was not `begun` counts as none."""
        now = datetime.now(UTC)
        reach(f"{self.what}.before_release")
        await self._db.write(
            lambda tx: calls.release(
                tx, self.taken.tool_call_id, self.token, reason, now, begun=begun
            )
        )
        reach(f"{self.what}.after_release")

    async def abandon(self) -> None:
        """Leave the call to the next attempt, or note that there is none."""
        now = datetime.now(UTC)
        await self._db.write(lambda tx: calls.abandon(tx, self.taken.tool_call_id, self.token, now))

    async def doubt(self) -> Settled:
        """Ask a person what became of the call."""
        now = datetime.now(UTC)
        reach(f"{self.what}.before_doubt")
        settled = await self._db.write(
            lambda tx: calls.ask_outcome(tx, self.taken.tool_call_id, self.token, now)
        )
        reach(f"{self.what}.after_doubt")
        return settled


# What holds a call is looked at again after so many seconds.
_LOOKED_AT_AGAIN = 10.0


@dataclass
class _Alive:
    """An attempt that is in the middle of its call, and what still works for it."""

    holders: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class Executions:
    """Executes the code of calls in one process."""

    def __init__(self) -> None:
        self._tools = ToolLoop()
        self._late: set[asyncio.Task[None]] = set()
        self._alive: dict[str, _Alive] = {}

    def close(self) -> None:
        """Take no more, and wait no longer for what outlasted its activity."""
        self._tools.close()
        for task in self._late:
            task.cancel()

    @contextmanager
    def holding(self, token: str) -> Generator[None]:
        """Have it known within the block that the attempt of this token is not dead."""
        alive = self._alive.setdefault(token, _Alive())
        alive.holders += 1
        try:
            yield
        finally:
            alive.holders -= 1
            if not alive.holders:
                del self._alive[token]
                alive.is_over.set()

    def is_alive(self, token: str) -> bool:
        """Whether an attempt is in the middle of its call, in this process; from any thread."""
        return token in self._alive

    async def until_over(self, token: str) -> None:
        """Wait until an attempt is over, for some seconds."""
        alive = self._alive.get(token)
        if alive is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(alive.is_over.wait(), _LOOKED_AT_AGAIN)

    async def call(
        self, function: Callable[..., object], arguments: dict[str, object], seconds: float
    ) -> Ended[object]:
        """Execute what may be repeated, and wait for it no longer than so many seconds."""
        waiting = asyncio.wrap_future(self._tools.submit(function, arguments, lambda value: value))
        try:
            return await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            return Raised(TimeoutError(f"no result within {seconds:g} seconds"))

    async def wait(
        self, attempt: Attempt[Kept], function: Callable[..., object], arguments: dict[str, object]
    ) -> Settled | None:
        """Execute a call to its end.

        Return what a person is asked if the end is not known.
        """
        with self.holding(attempt.token):
            return await self._wait(attempt, function, arguments)

    async def _wait(
        self, attempt: Attempt[Kept], function: Callable[..., object], arguments: dict[str, object]
    ) -> Settled | None:
        reach(f"{attempt.what}.before_effect")
        waiting = asyncio.wrap_future(self._tools.submit(function, arguments, attempt.outcome_of))
        is_once = attempt.taken.effect is Effect.once
        try:
            ended = await asyncio.wait_for(
                asyncio.shield(waiting) if is_once else waiting, attempt.taken.timeout
            )
        except TimeoutError:
            if is_once:
                self._outlive(attempt.token, _report(attempt, waiting))
                return await attempt.doubt()
            ended = Raised(TimeoutError(f"no result within {attempt.taken.timeout:g} seconds"))
        except asyncio.CancelledError:
            if is_once:
                await self._outlast(attempt.token, _report(attempt, waiting))
            else:
                await attempt.abandon()
            raise
        reach(f"{attempt.what}.after_effect")
        await attempt.end(ended)
        reach(f"{attempt.what}.after_finish")
        return None

    async def begun(
        self,
        db: Store,
        begin: Callable[[Session], Begun],
        execution_of: Callable[[Begun], Execution | None],
        token: str,
    ) -> Begun:
        """Take a call in a transaction, and return what that returned.

        What was taken while this activity was being stopped is given back, and is in no doubt.

        Args:
            db: Where the call is kept.
            begin: The transaction.
            execution_of: Says what of its result is a call that was taken.
            token: Names the attempt.
        """
        writing = asyncio.ensure_future(db.write(begin))

        async def give_back() -> None:
            taken, now = execution_of(await writing), datetime.now(UTC)
            if taken is not None:
                why = "It was not begun."
                await db.write(
                    lambda tx: calls.release(tx, taken.tool_call_id, token, why, now, begun=False)
                )

        with self.holding(token):
            try:
                return await asyncio.shield(writing)
            except asyncio.CancelledError:
                await self._outlast(token, give_back())
                raise

    async def _outlast(self, token: str, work: Coroutine[None, None, None]) -> None:
        """Wait for what must not be torn in half: it goes on though the waiting is cancelled.

        An activity is cancelled once for each sign that it is not wanted any more, not only once.
        """
        await asyncio.shield(self._outlive(token, work))

    def _outlive(self, token: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        held = ExitStack()
        held.enter_context(self.holding(token))
        task.add_done_callback(lambda _task: held.close())
        return task


async def _report(attempt: Attempt[Kept], waiting: asyncio.Future[Ended[Kept]]) -> None:
    """Store what a call comes to after its time; it settles the question that is asked meanwhile.

    A call that was deleted meanwhile is not asked about.
    """
    with suppress(NotFound):
        await attempt.end(await waiting, goes_on=False)
