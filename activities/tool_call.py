"""The activity that ends one tool call, executing it no oftener than its effect allows."""

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from temporalio import activity

from kern.activities.deleted import is_deleted
from kern.activities.failures import at_the_edge, not_here, try_again
from kern.activities.heartbeat import beating
from kern.activities.tool_loop import Ended, Raised, Returned, ToolLoop
from kern.activities.tool_result import Outcome, error_text, outcome_of
from kern.checkpoints import reach
from kern.contracts import ToolCallInput, ToolCallOutcome
from kern.db import calls
from kern.db.calls import Execution, Kept, Settled
from kern.db.engine import Database
from kern.db.past import StoredPast
from kern.errors import InvalidInput, NotFound, Unavailable
from kern.ids import new_id
from kern.logs import get_logger
from kern.model_component import ModelComponent
from kern.past import PastContext
from kern.registry import Registry
from kern.session_state import SessionState
from kern.states import Effect, ToolOutcome
from kern.tools import Tool

_log = get_logger("kern.tool_call")


class ToolCalls:
    """Executes tool calls for the components of one process."""

    def __init__(self, db: Database, registry: Registry) -> None:
        self._db = db
        self._registry = registry
        self._tools = ToolLoop()
        self._late: set[asyncio.Task[None]] = set()

    @activity.defn(name="tool_call")
    async def tool_call(self, ask: ToolCallInput) -> ToolCallOutcome:
        """Bring a call to its end, or return the requirement that a person has to resolve first."""
        with at_the_edge(ask.run_id):
            async with beating():
                try:
                    return await self._bring_to_end(ask)
                except NotFound:
                    if await is_deleted(self._db, ask.run_id):
                        return ToolCallOutcome(run_ended=True)
                    raise

    def close(self) -> None:
        """Take no more tools."""
        self._tools.close()

    async def _bring_to_end(self, ask: ToolCallInput) -> ToolCallOutcome:
        token, now = new_id(), datetime.now(UTC)
        reach("tool_call.before_begin")
        taken = await self._db.write(lambda tx: calls.begin(tx, ask.tool_call_id, token, now))
        reach("tool_call.after_begin")
        if isinstance(taken, Settled):
            if taken.goes_on:
                raise not_here("The run that executes the call has not ended")
            return ToolCallOutcome(gate=taken.gate, run_ended=taken.run_ended)
        _log.info(
            "tool_started",
            run_id=taken.run_id,
            session_id=taken.session_id,
            tool=taken.name,
            attempt=taken.attempt,
        )
        attempt = _Attempt(self._db, taken, token)
        tool = await self._tool(attempt)
        try:
            arguments = tool.signature.validate(taken.arguments)
        except ValueError as error:
            refusal = Outcome(f"The arguments do not fit: {error}")
            await attempt.keep(ToolOutcome.error, refusal)
            return ToolCallOutcome()
        if tool.signature.takes_context:
            arguments["run_context"] = attempt.context
        reach("tool_call.before_effect")
        keep = partial(outcome_of, state=attempt.context.session_state)
        return await self._wait(attempt, self._tools.submit(tool.function, arguments, keep))

    async def _tool(self, attempt: "_Attempt") -> Tool:
        taken = attempt.taken
        component = self._registry.get(taken.component_id)
        tool = component.tools.get(taken.name) if isinstance(component, ModelComponent) else None
        if tool is None:
            reason = (
                f"The component {taken.component_id!r} has no tool {taken.name!r} in this worker."
            )
            await attempt.give_back(reason)
            raise not_here("The tool is not in this worker")
        return tool

    async def _wait(
        self, attempt: "_Attempt", execution: Future[Ended[Outcome]]
    ) -> ToolCallOutcome:
        """Wait for a tool's end.

        What may not be repeated is never torn in half: it is let end, however late.
        """
        waiting = asyncio.wrap_future(execution)
        is_once = attempt.taken.effect is Effect.once
        try:
            ended = await asyncio.wait_for(
                asyncio.shield(waiting) if is_once else waiting, attempt.taken.timeout
            )
        except TimeoutError:
            if is_once:
                self._report_late(attempt, waiting)
                doubted = await attempt.doubt()
                return ToolCallOutcome(gate=doubted.gate, run_ended=doubted.run_ended)
            ended = Raised(TimeoutError(f"no result within {attempt.taken.timeout:g} seconds"))
        except asyncio.CancelledError:
            if is_once:
                await attempt.end(await waiting)
            else:
                await attempt.abandon()
            raise
        reach("tool_call.after_effect")
        await attempt.end(ended)
        reach("tool_call.after_finish")
        return ToolCallOutcome()

    def _report_late(self, attempt: "_Attempt", waiting: asyncio.Future[Ended[Outcome]]) -> None:
        """Store what the call comes to after its time.

        It settles the question that is asked meanwhile.
        """

        async def report() -> None:
            with suppress(NotFound):
                await attempt.end(await waiting, may_retry=False)

        task = asyncio.create_task(report())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


class _Attempt:
    """One attempt at a call, and what it may write of it."""

    def __init__(self, db: Database, taken: Execution, token: str) -> None:
        self.taken = taken
        self._db = db
        self._token = token
        self.context = PastContext(
            run_id=taken.run_id,
            session_id=taken.session_id,
            user_id=taken.user_id,
            tool_call_id=taken.tool_call_id,
            idempotency_key=taken.tool_call_id,
            attempt=taken.attempt,
            session_state=SessionState(taken.state),
            dependencies=taken.dependencies,
            metadata=taken.metadata,
            past=StoredPast(db, taken.run_id),
        )

    async def end(self, ended: Ended[Outcome], *, may_retry: bool = True) -> None:
        """Store what the tool came to, or give the call back for another try."""
        match ended:
            case Returned(outcome):
                await self.keep(ToolOutcome.result, outcome)
            case Raised(error) if may_retry and self.taken.attempt <= self.taken.retries:
                await self.give_back(error_text(error))
                raise try_again("tool_failed", "The tool raised and is tried again")
            case Raised(error):
                await self.keep(ToolOutcome.error, Outcome(error_text(error)))

    async def keep(self, outcome: ToolOutcome, told: Outcome) -> None:
        """Store the call's end; refused when another attempt holds the call."""
        reach("tool_call.before_store")
        kept = await self._store(outcome, told)
        reach("tool_call.after_store")
        level = _log.warning if kept is Kept.fenced else _log.info
        level(
            "tool_ended",
            run_id=self.taken.run_id,
            session_id=self.taken.session_id,
            tool=self.taken.name,
            outcome=outcome,
            kept=kept,
        )

    async def _store(self, outcome: ToolOutcome, told: Outcome) -> Kept:
        now = datetime.now(UTC)
        try:
            return await self._db.write(
                lambda tx: calls.finish(
                    tx,
                    self.taken.tool_call_id,
                    self._token,
                    outcome=outcome,
                    result=told.result,
                    changes=list(told.changes),
                    now=now,
                )
            )
        except (Unavailable, NotFound):
            raise
        except Exception:
            if not told.changes:
                raise
            # The effect has happened: the call is done, whatever the database says to the changes.
            _log.exception("state_not_kept", run_id=self.taken.run_id, tool=self.taken.name)
            refusal = InvalidInput("the database does not take them.")
            return await self._store(outcome, told.without_changes(refusal))

    async def give_back(self, reason: str) -> None:
        """Let another attempt execute the call."""
        now = datetime.now(UTC)
        reach("tool_call.before_release")
        await self._db.write(
            lambda tx: calls.release(tx, self.taken.tool_call_id, self._token, reason, now)
        )
        reach("tool_call.after_release")

    async def abandon(self) -> None:
        """Leave the call to the next attempt, or note that there is none."""
        now = datetime.now(UTC)
        await self._db.write(
            lambda tx: calls.abandon(tx, self.taken.tool_call_id, self._token, now)
        )

    async def doubt(self) -> Settled:
        """Ask a person what became of the call."""
        now = datetime.now(UTC)
        reach("tool_call.before_doubt")
        settled = await self._db.write(
            lambda tx: calls.doubt(tx, self.taken.tool_call_id, self._token, now)
        )
        reach("tool_call.after_doubt")
        return settled
