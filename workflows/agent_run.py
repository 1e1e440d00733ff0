"""The life of one agent run: a turn, its calls, the next turn, until there is an answer."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from kern.contracts.messages import (
    CloseInput,
    Nothing,
    PlannedCall,
    Resolved,
    RunCursor,
    Stop,
    StopQuery,
    Told,
    Work,
)
from kern.workflows import steps
from kern.workflows.children import Children
from kern.workflows.gate import Gates
from kern.workflows.report import Report


@workflow.defn(name="AgentRun")
class AgentRun:
    """Runs turns and calls in their order, and parks while only people can go on.

    Its id is the run's id. It carries ids and small facts; content and decisions are in SQL.
    """

    @workflow.init
    def __init__(self, cursor: RunCursor) -> None:
        self._cursor = cursor
        self._gates = Gates(cursor.heartbeat)
        self._children = Children(cursor, self._gates, self._take_up)
        self._report: Report | None = None
        self._is_asked = False
        self._moved = False
        self._summarise = False

    @workflow.run
    async def run(self, cursor: RunCursor) -> None:
        """Take turns from the cursor on until the run has ended."""
        if cursor.parent_run_id is not None:
            self._report = Report(
                cursor.run_id, cursor.parent_run_id, self._gates, lambda: self._stands_still
            )
            if cursor.watched or (self._is_asked and workflow.patched("asked-before-it-began")):
                self._report.watch()
        try:
            await self._take_turns(cursor)
        except (asyncio.CancelledError, ActivityError) as error:
            await self._give_up(error)
            await self._let_go()
            if is_cancelled_exception(error):
                raise
        await self._let_go()
        if self._summarise:
            # Nobody waits for it any more, and the run has ended whatever becomes of it.
            with suppress(ActivityError):
                await steps.summarise(self._cursor.run_id, self._cursor.heartbeat)

    @workflow.signal(name="resolved")
    def resolved(self, news: Resolved) -> None:
        """Hear that a requirement's row is resolved."""
        self._gates.resolved.add(news.requirement_id)

    @workflow.update(name="wait_for_stop")
    async def wait_for_stop(self, query: StopQuery) -> Stop:
        """Answer when the run stands still, having heard of all that the caller knows of."""
        await workflow.wait_condition(lambda: self._moved or self._has_stopped(query))
        return Stop(moved=self._moved)

    @workflow.signal(name="told")
    def told(self, news: Told) -> None:
        """Hear where a run right below this one stands."""
        self._gates.told(news)

    @workflow.signal(name="watched")
    def watched(self, ask: Nothing) -> None:  # noqa: ARG002  every message has one
        """Hear that the run above waits for this one's end, maybe before this history began."""
        self._is_asked = True
        if self._report is not None:
            self._report.watch()

    @property
    def _stands_still(self) -> bool:
        return self._gates.stands_still and (self._gates.ended or self._children.are_settled)

    def _take_up(self, work: Sequence[Work]) -> None:
        """Take what an activity has begun; only pipelines have such work."""

    def _has_stopped(self, query: StopQuery) -> bool:
        return self._gates.ended or (self._gates.has_heard(query) and self._stands_still)

    async def _take_turns(self, cursor: RunCursor) -> None:
        turn = cursor.turn
        while await self._take_turn(turn):
            turn += 1
            if self._history_is_long(turn - cursor.turn):
                await self._move_on(turn)

    async def _take_turn(self, turn: int) -> bool:
        """Take a turn and bring its calls to their ends; False when the run has ended."""
        with self._gates.working():
            outcome = await steps.take_turn(self._cursor.run_id, turn, self._cursor.heartbeat)
            calls = [asyncio.ensure_future(self._bring_to_end(call)) for call in outcome.calls]
        self._summarise = outcome.summarise
        goes_on = await asyncio.gather(*calls)
        return not outcome.ended and all(goes_on)

    async def _bring_to_end(self, call: PlannedCall) -> bool:
        """Wait for people, execute, and ask people again if need be.

        False when that ended the run.
        """
        gate = call.gate
        while True:
            if gate is not None and not await self._gates.wait(gate):
                return False
            if call.child is not None:
                await self._children.run(call.child)
            with self._gates.working():
                done = await steps.execute_call(self._cursor.run_id, call, self._cursor.heartbeat)
            if done.run_ended or done.gate is None:
                return not done.run_ended
            gate = done.gate

    def _history_is_long(self, turns: int) -> bool:
        suggested = workflow.info().is_continue_as_new_suggested()
        return suggested or turns >= self._cursor.turns_per_history

    async def _move_on(self, turn: int) -> None:
        """Continue with a new history: a run that never ends must not grow one for ever."""
        self._moved = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        told: dict[str, object] = {"turn": turn}
        if self._report is not None and self._report.is_watched:
            told["watched"] = True
        workflow.continue_as_new(self._cursor.model_copy(update=told))

    async def _let_go(self) -> None:
        """Answer everybody who waits for a stop, as the run ends."""
        self._gates.ended = True
        self._children.close()
        if self._report is not None:
            await self._report.close()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _give_up(self, error: BaseException) -> None:
        """Store why the run ends, also while it is being cancelled."""
        ending = CloseInput(
            run_id=self._cursor.run_id,
            cancelled=is_cancelled_exception(error),
            retries=self._cursor.retries,
        )
        if isinstance(error, ActivityError) and isinstance(error.cause, ApplicationError):
            cause = error.cause
            said = {"code": cause.type or "error", "message": cause.message}
            ending = ending.model_copy(update=said)
        await asyncio.shield(asyncio.ensure_future(steps.close(ending, self._cursor.heartbeat)))
