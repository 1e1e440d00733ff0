"""The children of a run: started as child workflows, and followed until they end.

The parent's row says `paused` only while all that is open in it and in its children waits for
people. Only the workflow knows when that is so: between two activities, rows alone look idle. So
each time that the workflow becomes idle, a task (`_keep_paused`) has an activity check the rows and
set the status. The activity may disagree, because a person has decided since; then the child is
about to report, and the task waits for that.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    FailureError,
    TerminatedError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from kern.contracts.messages import WORKFLOWS, Child, Nothing, RunCursor, Work
from kern.workflows import steps
from kern.workflows.gate import Gates
from kern.workflows.report import send

_LOOK_AGAIN = timedelta(seconds=5)


class Children:
    """The child runs of one run.

    Args:
        cursor: The position at which the run's own workflow began.
        gates: What the run waits for.
        take_up: Starts work that replaces what waits for people, in a container with a bound on
            how many branches run at the same time.
    """

    def __init__(
        self, cursor: RunCursor, gates: Gates, take_up: Callable[[Sequence[Work]], None]
    ) -> None:
        self._cursor = cursor
        self._gates = gates
        self._take_up = take_up
        # The version of the gates whose idleness the run's row has.
        self._paused_version = -1
        self._pause_task: asyncio.Task[None] | None = None

    @property
    def are_settled(self) -> bool:
        """Whether the run's row is up to date, where the run waits for children."""
        return not self._gates.children or self._paused_version == self._gates.version

    async def run(self, child: Child) -> None:
        """Start a child run and wait until it has ended; its row says how."""
        if self._pause_task is None:
            self._pause_task = asyncio.create_task(self._keep_paused())
        self._gates.children[child.run_id] = False
        try:
            await self._start(child)
        except WorkflowAlreadyStartedError:
            # An earlier history of this run started it, or the relay did because it was lost.
            await self._watch(child.run_id)
        except FailureError as error:
            # The activity that follows reads from the child's row how it ended.
            if is_cancelled_exception(error) and workflow.cancellation_reason() is not None:
                raise asyncio.CancelledError from error
            if isinstance(error.cause, TerminatedError) and workflow.patched("child-replaced"):
                # Another workflow may have begun in its place.
                await self._watch(child.run_id)
        finally:
            self._gates.children.pop(child.run_id, None)
            self._gates.version += 1

    def close(self) -> None:
        """Stop updating the run's row."""
        if self._pause_task is not None:
            self._pause_task.cancel()

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
            id=self._cursor.prefix + child.run_id,
            result_type=Nothing,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            # The transaction that cancels this run cancels its children, and the outbox signals it.
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.TRY_CANCEL,
        )

    async def _watch(self, run_id: str) -> None:
        with suppress(FailureError):
            await send(self._cursor.prefix + run_id, "watched", Nothing())
            await workflow.wait_condition(lambda: run_id not in self._gates.children)

    async def _keep_paused(self) -> None:
        """Set the run's row to `paused` each time that the run is idle."""
        gates = self._gates
        while True:
            await workflow.wait_condition(
                lambda: bool(gates.children) and gates.is_idle and not self.are_settled
            )
            version = gates.version
            outcome = await steps.pause(self._cursor)
            if outcome.work:
                self._take_up(outcome.work)
                # Let the new tasks begin, so that the run is not idle when that is asked again.
                await asyncio.sleep(0)
            if outcome.stands_still:
                self._paused_version = version
            elif not outcome.work:
                # A person has decided, and the child is about to report.
                with suppress(TimeoutError):
                    await workflow.wait_condition(
                        lambda: gates.version != version,  # noqa: B023
                        timeout=_LOOK_AGAIN,
                    )
