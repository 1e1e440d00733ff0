"""The runs right below a run: started as child workflows, and heard of until they end."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError, is_cancelled_exception
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from kern.contracts.messages import WORKFLOWS, Child, Nothing, RunCursor, Work
from kern.workflows import steps
from kern.workflows.gate import Gates
from kern.workflows.report import send

_LOOK_AGAIN = timedelta(seconds=5)


class Children:
    """What a run does for those below it, and what it knows of them.

    Args:
        cursor: Where the run's own workflow began.
        gates: What it waits for.
        take_up: Takes the work that begins in the place of what waits for people.
    """

    def __init__(
        self, cursor: RunCursor, gates: Gates, take_up: Callable[[Sequence[Work]], None]
    ) -> None:
        self._cursor = cursor
        self._gates = gates
        self._take_up = take_up
        self._stored = -1
        self._keeper: asyncio.Task[None] | None = None

    @property
    def are_settled(self) -> bool:
        """Whether the run's row says that it is paused, if it waits for runs below it."""
        return not self._gates.below or self._stored == self._gates.news

    async def run(self, child: Child) -> None:
        """Have a child run, and wait until it has ended, in whatever way: its row says how."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        self._gates.below[child.run_id] = False
        try:
            await self._start(child)
        except WorkflowAlreadyStartedError:
            # Of an earlier history of this run, or brought back because it was lost.
            await self._watch(child.run_id)
        except FailureError as error:
            # However it ended, the activity that follows reads it from the child's row.
            if is_cancelled_exception(error) and workflow.cancellation_reason() is not None:
                raise asyncio.CancelledError from error
        finally:
            self._gates.below.pop(child.run_id, None)
            self._gates.news += 1

    def close(self) -> None:
        """Look after nobody any more."""
        if self._keeper is not None:
            self._keeper.cancel()

    async def _start(self, child: Child) -> None:
        await workflow.execute_child_workflow(
            WORKFLOWS[child.component_kind],
            self._cursor.model_copy(
                update={
                    "run_id": child.run_id,
                    "turn": 1,
                    "parent_run_id": self._cursor.run_id,
                    "retries": child.retries,
                }
            ),
            id=child.run_id,
            result_type=Nothing,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            # SQL has cancelled it with this run, and the outbox tells it.
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.TRY_CANCEL,
        )

    async def _watch(self, run_id: str) -> None:
        with suppress(FailureError):
            await send(run_id, "watched", Nothing())
            await workflow.wait_condition(lambda: run_id not in self._gates.below)

    async def _keep(self) -> None:
        """Have the run's row say that it is paused, each time that nothing but people is left."""
        gates = self._gates
        while True:
            await workflow.wait_condition(
                lambda: bool(gates.below) and gates.stands_still and not self.are_settled
            )
            seen = gates.news
            outcome = await steps.pause(self._cursor.run_id, self._cursor.heartbeat)
            if outcome.work:
                self._take_up(outcome.work)
                # What was taken up begins before it is asked again whether anything goes on.
                await asyncio.sleep(0)
            if outcome.stands_still:
                self._stored = seen
            elif not outcome.work:
                # Somebody has decided, and the run below is about to tell.
                with suppress(TimeoutError):
                    await workflow.wait_condition(
                        lambda: gates.news != seen,  # noqa: B023
                        timeout=_LOOK_AGAIN,
                    )
