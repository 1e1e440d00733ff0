"""Executes the code of calls in one process; `attempt.py` explains how attempts begin and end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from pydantic import JsonValue
from sqlmodel import Session
from temporalio import activity
from temporalio.exceptions import FailureError

from kern.activities import reconciliation
from kern.activities.attempt import Attempt
from kern.activities.failures import try_again
from kern.activities.live_attempts import LiveAttempts
from kern.activities.places import Place, Places
from kern.activities.reconciliation import Findings
from kern.activities.result_journal import ResultKeeper
from kern.activities.starts import Start
from kern.activities.tool_loop import Ended, NotBegun, Raised, Result, ToolLoop
from kern.activities.tool_result import raised_text
from kern.db.engine.store import Store
from kern.db.turns import calls
from kern.db.turns.attempts import Claim, Execution, LeftOpen, Settled
from kern.errors import KernError, NotFound
from kern.process.calling_run import executing_for
from kern.process.checkpoints import reach
from kern.process.logs import get_logger, warn_raised
from kern.process.settings import DEFAULT_TOOL_SLOTS
from kern.process.worker_names import own_worker_name
from kern.tools.reconciling import DidNotHappen, Happened, OutcomeRules
from kern.values.attempts import DEFAULT_LEASE, UnknownReason, has_lease
from kern.values.states import Effect

_log = get_logger("kern.attempts")

BeginResult = TypeVar("BeginResult")
Value = TypeVar("Value")


_LOOKED_UP = "The reconciler found that it had not happened."
_NOT_BEGUN = "It was not begun."


class Executions:
    """Executes the code of calls in one process.

    Args:
        db: The database that has the calls.
        places: How many are executed at once.
        results: Stores what they ended with.
        lease: For how long after a beat nothing may be executed in an attempt's place.
    """

    def __init__(
        self,
        db: Store,
        places: int = DEFAULT_TOOL_SLOTS,
        results: ResultKeeper | None = None,
        lease: timedelta = DEFAULT_LEASE,
    ) -> None:
        self.places = Places(places)
        self.results = results or ResultKeeper(db)
        self.lease = lease
        self._db = db
        self._worker = own_worker_name()
        self._tools = ToolLoop()
        self._late: set[asyncio.Task[None]] = set()
        self.live = LiveAttempts(db, lease)

    def close(self) -> None:
        """Accept no more calls, and stop waiting for those that outlive their activities."""
        self._tools.close()
        for task in self._late:
            task.cancel()
        self.live.close()

    def claim(self, token: str) -> Claim:
        """Return what an attempt of the present activity brings in order to take a call."""
        scheduled_at = None
        if activity.in_activity():
            scheduled_at = activity.info().current_attempt_scheduled_time
        return Claim(token, self._worker, scheduled_at, self.live.is_alive, lease=self.lease)

    async def call(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        seconds: float,
        place: Place | None = None,
    ) -> Ended[object]:
        """Execute code that may be repeated, and wait for it for so many seconds at most."""
        start = Start()
        if place is not None:
            place.execute(start)
        waiting = asyncio.wrap_future(
            self._tools.submit(function, arguments, lambda value: value, start)
        )
        try:
            return await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            return Raised(TimeoutError(f"no result within {seconds:g} seconds"))
        finally:
            start.give_up()

    async def wait(
        self,
        attempt: Attempt[Result],
        function: Callable[..., object],
        arguments: dict[str, object],
        place: Place | None = None,
    ) -> Settled | None:
        """Execute a call in a place to its end.

        Returns:
            None once its end is stored; if nobody knows its end, the call as it is then, with the
            requirement that asks a person.
        """
        execution = attempt.execution
        with self.live.holding(attempt.token), executing_for(execution.run_id, execution.tenant):
            reach(f"{attempt.checkpoint}.before_effect")
            start = Start(partial(attempt.may_begin, self.lease))
            if place is not None:
                place.execute(start)
            return await self._wait(attempt, function, arguments, start)

    async def _wait(
        self,
        attempt: Attempt[Result],
        function: Callable[..., object],
        arguments: dict[str, object],
        start: Start,
    ) -> Settled | None:
        async with self.before_begin(attempt.execution, attempt.token):
            waiting = asyncio.wrap_future(
                self._tools.submit(function, arguments, attempt.outcome_of, start)
            )
        timeout, is_once = attempt.execution.timeout, attempt.execution.effect is Effect.once
        reason = UnknownReason.raised
        try:
            if timeout is not None:
                # Its clock starts when it has begun.
                await _until_begun(start, waiting)
            ended = await asyncio.wait_for(asyncio.shield(waiting) if is_once else waiting, timeout)
        except TimeoutError:
            if is_once:
                # The code still runs. Its result settles the question if it comes before a person.
                self._outlive(attempt.token, _report(attempt, waiting))
                return await self._find_out(attempt, UnknownReason.timed_out)
            reason = UnknownReason.timed_out
            ended = Raised(TimeoutError(f"no result within {timeout:g} seconds"))
        except asyncio.CancelledError:
            # The heartbeats were missed, the run was cancelled, or the worker shuts down.
            if start.give_up():
                await self._outlast(attempt.token, attempt.give_back(_NOT_BEGUN, is_begun=False))
            elif is_once:
                await self._outlast(attempt.token, _report(attempt, waiting))
            else:
                waiting.cancel()
                await attempt.abandon()
            raise
        if isinstance(ended, NotBegun):
            await attempt.give_back(_NOT_BEGUN, is_begun=False)
            raise try_again("not_begun", "The call is no longer this attempt's to begin")
        reach(f"{attempt.checkpoint}.after_effect")
        if isinstance(ended, Raised):
            _note_failure(attempt, ended.error)
            if attempt.leaves_open(ended.error):
                return await self._find_out(attempt, reason, ended.error)
        await self._store(attempt, ended)
        reach(f"{attempt.checkpoint}.after_finish")
        return None

    async def reconcile(self, rules: OutcomeRules, execution: Execution) -> Findings:
        """Ask the reconciler of a call, if it has one, what became of it."""
        key = execution.idempotency_key
        findings = await reconciliation.ask(rules.reconcile, key, execution.arguments, self.call)
        for error in findings.errors:
            warn_raised("reconciler", execution.name, error, **_ids_of(execution))
        return findings

    async def find_out_lost(
        self,
        rules: OutcomeRules,
        open_call: LeftOpen,
        store: Callable[[JsonValue], Awaitable[object]],
    ) -> Settled:
        """Find out what became of a call whose attempt was lost, or have a person asked.

        `store` stores the result of what has happened. Without a requirement in what is returned,
        the call has to be looked at again.
        """
        with executing_for(open_call.execution.run_id, open_call.execution.tenant):
            findings = await self._reconcile_lost(rules, open_call)
        call_id, token, now = open_call.execution.tool_call_id, open_call.token, datetime.now(UTC)
        if isinstance(findings.answer, Happened):
            await store(findings.answer.result)
            return Settled()
        if isinstance(findings.answer, DidNotHappen):
            release = partial(
                calls.release, tool_call_id=call_id, token=token or "", reason=_LOOKED_UP, now=now
            )
            if await self._db.write(release):
                return Settled()
        ask = partial(
            calls.ask_outcome,
            tool_call_id=call_id,
            token=token,
            reason=UnknownReason.worker_lost,
            now=now,
            evidence=findings.evidence,
        )
        return await self._db.write(ask)

    async def _reconcile_lost(self, rules: OutcomeRules, open_call: LeftOpen) -> Findings:
        """Ask the reconciler of a call whose attempt was lost, and again when its lease is over.

        A worker that was frozen may go on with the call: that it has not happened is believed only
        once it no longer can.
        """
        findings = await self.reconcile(rules, open_call.execution)
        until, now = open_call.leased_until, datetime.now(UTC)
        if not isinstance(findings.answer, DidNotHappen) or not has_lease(until, now):
            return findings
        await asyncio.sleep((until - now).total_seconds())
        later = await self.reconcile(rules, open_call.execution)
        return Findings(later.answer, (*findings.evidence, *later.evidence))

    async def _find_out(
        self, attempt: Attempt[Result], reason: UnknownReason, error: BaseException | None = None
    ) -> Settled | None:
        """Find out what became of a call whose code left it open, or have a person asked."""
        findings = await self.reconcile(attempt.rules, attempt.execution)
        match findings.answer:
            case Happened(result):
                await self._outlast(attempt.token, attempt.end_as_happened(result))
                return None
            case DidNotHappen() if error is not None:
                # Now it is certain: an error like any other.
                await self._store(attempt, Raised(error))
                return None
            case _:
                is_raised = reason is UnknownReason.raised
                text = raised_text(error) if error is not None and is_raised else None
                return await attempt.ask_about_outcome(reason, text, findings.evidence)

    async def _store(self, attempt: Attempt[Result], ended: Ended[Result]) -> None:
        """Store how a call ended, also if the activity is cancelled meanwhile."""
        ending = self._outlive(attempt.token, attempt.end(ended))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            self._outlive(attempt.token, _drop_following(attempt, ending))
            raise

    async def begin(
        self,
        take: Callable[[Session], BeginResult],
        execution_of: Callable[[BeginResult], Execution | None],
        token: str,
    ) -> BeginResult:
        """Take a call in a transaction, and return the transaction's result.

        The transaction is shielded: cancelling the wait for it would not tell whether it committed,
        and a call that was taken but never begun would look like one that may have happened. If
        this activity is cancelled meanwhile, a call that was taken is given back.

        Args:
            take: The transaction.
            execution_of: Returns the call in the transaction's result, if one was taken.
            token: The id of the attempt.
        """
        writing = asyncio.ensure_future(self._db.write(take))

        async def give_back() -> None:
            execution = execution_of(await writing)
            if execution is not None:
                await self._give_back(execution, token)

        with self.live.holding(token):
            try:
                return await asyncio.shield(writing)
            except asyncio.CancelledError:
                await self._outlast(token, give_back())
                raise

    @asynccontextmanager
    async def before_begin(self, execution: Execution, token: str) -> AsyncGenerator[None]:
        """Give a call that was taken back if anything ends its attempt within the block.

        Its code has not begun there. If even that fails, the call stays taken, and the next attempt
        takes it over: its row does not say that it has begun.
        """
        with self.live.holding(token):
            try:
                yield
            except BaseException:
                with suppress(KernError):
                    await self._outlast(token, self._give_back(execution, token))
                raise

    async def _give_back(self, execution: Execution, token: str) -> None:
        call_id, now = execution.tool_call_id, datetime.now(UTC)
        await self._db.write(
            lambda tx: calls.release(tx, call_id, token, _NOT_BEGUN, now, begun=False)
        )

    async def aside(self, work: Callable[[], Value]) -> Value:
        """Return what the user's code returns that a call is checked with, away from this loop."""
        return await self._tools.in_thread(work)

    async def _outlast(self, token: str, work: Coroutine[None, None, None]) -> None:
        """Wait for work that continues even if the wait is cancelled.

        The shield is needed although a cancellation has just been caught: Temporal cancels an
        activity once for each reason (missed heartbeats, a cancelled run, a worker that shuts
        down), so a second cancellation may arrive during this wait.
        """
        await asyncio.shield(self._outlive(token, work))

    def _outlive(self, token: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start work that may outlive its activity; until it ends, the attempt counts as alive."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(_note_error)
        task.add_done_callback(self._late.discard)
        holder = ExitStack()
        holder.enter_context(self.live.holding(token))
        task.add_done_callback(lambda _task: holder.close())
        return task


async def _until_begun(start: Start, waiting: asyncio.Future[Result]) -> None:
    """Wait until the code has begun, or never will."""
    loop = asyncio.get_running_loop()
    start_signal = loop.create_future()

    def note() -> None:
        if not start_signal.done():
            start_signal.set_result(None)

    def tell() -> None:
        # Nothing that happens to this loop may hold up the code.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(note)

    start.on_begin(tell)
    await asyncio.wait({start_signal, waiting}, return_when=asyncio.FIRST_COMPLETED)


async def _report(attempt: Attempt[Result], waiting: asyncio.Future[Ended[Result]]) -> None:
    """Store how a call ended after its activity; that settles a question asked about it meanwhile.

    The call may have been deleted meanwhile.
    """
    with suppress(NotFound):
        ended = await waiting
        if isinstance(ended, NotBegun):
            await attempt.give_back(_NOT_BEGUN, is_begun=False)
        elif isinstance(ended, Raised) and attempt.leaves_open(ended.error):
            text = raised_text(ended.error)
            await attempt.ask_about_outcome(UnknownReason.raised, text)
        else:
            await attempt.end(ended, is_active=False)


def _note_failure(attempt: Attempt[Result], error: BaseException) -> None:
    """Log what the code of a call raised."""
    execution = attempt.execution
    tries = f"{execution.attempt} of {execution.retries + 1}"
    role = "tool" if attempt.checkpoint == "tool_call" else "step"
    warn_raised(role, execution.name, error, attempt=tries, **_ids_of(execution))


def _ids_of(execution: Execution) -> dict[str, str]:
    return {"run_id": execution.run_id, "session_id": execution.session_id}


async def _drop_following(attempt: Attempt[Result], ending: asyncio.Task[None]) -> None:
    """Give back what was taken together with storing an end, once that is stored."""
    await asyncio.wait({ending})
    if not ending.cancelled() and ending.exception() is None:
        await attempt.drop_following()


def _note_error(task: asyncio.Task[None]) -> None:
    """Log the error of work that nobody may wait for any more."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, FailureError):
        _log.warning("late_work_failed", error=type(error).__name__, why=str(error))
