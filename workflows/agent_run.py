"""The workflow of one agent run: a turn, its calls, the next turn, until there is an answer.

How workflow code differs from other code, and why this one looks as it does:

- **It is deterministic.** A workflow's state is not stored. When a worker has dropped it from its
  cache, or another worker continues it, Temporal executes this code again from its beginning and
  answers every activity, timer and signal from the recorded history. The code must then issue the
  same commands in the same order. So it reads no clock but `workflow.now()`, no database and no
  random numbers, iterates over nothing whose order may differ, and changes the order of its
  commands only under `workflow.patched(...)`. `tests/replay/` replays recorded histories.
- **It knows ids only.** Content and decisions are in SQL. A signal carries the id of a requirement
  whose row is resolved, never the decision; the next activity reads the rows. A signal that is
  lost, repeated or late therefore changes nothing but the moment at which somebody looks.
- **Signals may come first.** A signal may arrive before `run` has begun, so the state that its
  handler changes is made in `__init__`, which `@workflow.init` calls before any handler.
- **Some work is shielded.** A cancelled workflow raises CancelledError at each `await`. What must
  be done nevertheless, such as storing why the run ends, is awaited through `asyncio.shield`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from kern.contracts.messages import (
    CloseInput,
    Nothing,
    OpenWork,
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
    """Executes turns and calls in their order, and parks while only people can continue the run.

    The workflow's id is the run's id behind the installation's prefix.
    """

    @workflow.init
    def __init__(self, cursor: RunCursor) -> None:
        self._cursor = cursor
        self._gates = Gates(cursor)
        self._children = Children(cursor, self._gates, self._take_up)
        self._report: Report | None = None
        self._is_watched_early = False
        self._has_moved_on = False
        self._summarise = False
        # Whether the failed run was opened again while this workflow was about to end.
        self._is_reopened = False
        self._turn = cursor.turn

    @workflow.run
    async def run(self, cursor: RunCursor) -> None:
        """Take turns from the cursor on until the run has ended."""
        # A workflow that was started because of it hears of it, too, and needs not begin again.
        self._is_reopened = False
        if cursor.parent_run_id is not None:
            self._report = Report(
                cursor.run_id,
                cursor.prefix + cursor.parent_run_id,
                self._gates,
                lambda: self._is_idle,
            )
            if cursor.watched or (
                self._is_watched_early and workflow.patched("asked-before-it-began")
            ):
                self._report.watch()
        try:
            await self._take_turns(cursor)
        except (asyncio.CancelledError, ActivityError) as error:
            await self._give_up(error)
            await self._release_waiters()
            if is_cancelled_exception(error):
                raise
        await self._release_waiters()
        if self._summarise:
            # The run has ended, whether the summary can be made or not, and nobody waits for it.
            with suppress(ActivityError):
                await steps.summarise(self._cursor.run_id, self._cursor.heartbeat)
        if self._is_reopened:
            await self._move_on(self._turn)

    @workflow.signal(name="reopened")
    def reopened(self, ask: Nothing) -> None:  # noqa: ARG002  every message has one
        """Take note that the failed run continues, maybe while this workflow was about to end."""
        self._is_reopened = True
        retries = self._cursor.retries + 1
        self._cursor = self._cursor.model_copy(update={"retries": retries})

    @workflow.signal(name="resolved")
    def resolved(self, news: Resolved) -> None:
        """Take note that a requirement's row is resolved."""
        self._gates.resolved.add(news.requirement_id)

    @workflow.update(name="wait_for_stop")
    async def wait_for_stop(self, query: StopQuery) -> Stop:
        """Answer when the run is idle and knows all the resolutions that the caller knows."""
        await workflow.wait_condition(lambda: self._has_moved_on or self._has_stopped(query))
        return Stop(moved=self._has_moved_on)

    @workflow.query(name="open_work")
    def open_work(self) -> OpenWork:
        """Answer what the run waits for, for whoever compares it with the rows."""
        return OpenWork(
            requirements=tuple(sorted(self._gates.waiting - self._gates.resolved)),
            children=tuple(sorted(self._gates.children)),
        )

    @workflow.signal(name="told")
    def child_reported(self, report: Told) -> None:
        """Take note of the state of a child run."""
        self._gates.take_report(report)

    @workflow.signal(name="watched")
    def watched(self, ask: Nothing) -> None:  # noqa: ARG002  every message has one
        """Take note that the parent waits for this run's end; may arrive before `run` begins."""
        self._is_watched_early = True
        if self._report is not None:
            self._report.watch()

    @property
    def _is_idle(self) -> bool:
        return self._gates.is_idle and (self._gates.ended or self._children.are_settled)

    def _take_up(self, work: Sequence[Work]) -> None:
        """Start work that an activity has opened; only pipelines have such work."""

    def _has_stopped(self, query: StopQuery) -> bool:
        return self._gates.ended or (self._gates.knows_all(query) and self._is_idle)

    async def _take_turns(self, cursor: RunCursor) -> None:
        turn = cursor.turn
        while await self._take_turn(turn):
            turn += 1
            self._turn = turn
            if self._history_is_long(turn - cursor.turn):
                await self._move_on(turn)

    async def _take_turn(self, turn: int) -> bool:
        """Take a turn and bring its calls to their ends; return False once the run has ended."""
        with self._gates.working():
            outcome = await steps.take_turn(self._cursor.run_id, turn, self._cursor.heartbeat)
            calls = [asyncio.ensure_future(self._bring_to_end(call)) for call in outcome.calls]
        self._summarise = outcome.summarise
        continues = await self._until_ended(calls, turn)
        return not outcome.ended and all(continues)

    async def _until_ended(self, calls: Sequence[asyncio.Future[bool]], turn: int) -> list[bool]:
        """Wait for the ends of a turn's calls; while they wait for people, the history may move on.

        The next history takes the turn again: its answer is stored, and its open calls have their
        gates in SQL.
        """
        ending = asyncio.gather(*calls)
        try:
            await workflow.wait_condition(
                lambda: ending.done() or self._may_move_on_while_idle() or self._has_ended_in(calls)
            )
            if not ending.done() and self._has_ended_in(calls):
                # The gates of the other calls were closed with the run, and nobody reports them.
                if workflow.patched("ends-with-its-run"):
                    self._gates.close()
                await workflow.wait_condition(
                    lambda: ending.done() or self._may_move_on_while_idle()
                )
        except asyncio.CancelledError:
            ending.cancel()
            await ending
            raise
        if not ending.done() and workflow.patched("moves-on-while-idle"):
            await self._move_on(turn)
        return await ending

    def _has_ended_in(self, calls: Sequence[asyncio.Future[bool]]) -> bool:
        """Whether the run has ended: by the end of one of its calls, or it was retried since."""
        ended = (call for call in calls if call.done() and not call.cancelled())
        return self._is_reopened or any(
            call.exception() is None and not call.result() for call in ended
        )

    def _may_move_on_while_idle(self) -> bool:
        return self._is_idle and workflow.info().is_continue_as_new_suggested()

    async def _bring_to_end(self, call: PlannedCall) -> bool:
        """Wait for people, execute the call, and wait for people again if need be.

        Return False if that ended the run.
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
        """Continue as new: the history of a long run must not grow without bound."""
        self._has_moved_on = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        position: dict[str, object] = {"turn": turn}
        if self._report is not None and self._report.is_watched:
            position["watched"] = True
        workflow.continue_as_new(self._cursor.model_copy(update=position))

    async def _release_waiters(self) -> None:
        """Answer those who wait for a stop, and the parent, since the run has ended.

        A workflow that completes while an update is being handled would fail that update.
        """
        self._gates.ended = True
        self._children.close()
        if self._report is not None:
            await self._report.close()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _give_up(self, error: BaseException) -> None:
        """Store why the run ends, even while the workflow is being cancelled."""
        ending = CloseInput(
            run_id=self._cursor.run_id,
            cancelled=is_cancelled_exception(error),
            retries=self._cursor.retries,
        )
        if isinstance(error, ActivityError) and isinstance(error.cause, ApplicationError):
            cause = error.cause
            failure = {"code": cause.type or "error", "message": cause.message}
            ending = ending.model_copy(update=failure)
        # Shielded, since a second cancellation must not stop it.
        await asyncio.shield(asyncio.ensure_future(steps.close(ending, self._cursor)))
