"""Reports a run's state to the workflow of its parent run."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import FailureError

from kern.contracts.messages import Contract, Told
from kern.workflows.gate import Gates


class Report:
    """Signals the parent's workflow when this run stops, continues or hears of a resolution.

    One task sends all reports, one after another, so they arrive in their order.

    Args:
        run_id: This run.
        parent_id: The workflow of its parent.
        gates: What this run waits for.
        is_idle: Returns whether this run is idle, and its row says so.
    """

    def __init__(
        self, run_id: str, parent_id: str, gates: Gates, is_idle: Callable[[], bool]
    ) -> None:
        self._run_id = run_id
        self._parent = parent_id
        self._gates = gates
        self._is_idle = is_idle
        # The state as it was reported last.
        self._was_idle, self._version = False, gates.version
        self._reported: set[str] = set()
        self._is_watched = self._is_requested = False
        self._task = asyncio.create_task(self._report_changes())

    @property
    def is_watched(self) -> bool:
        """Whether the parent asked for a report of the end."""
        return self._is_watched

    def watch(self) -> None:
        """Report the present state again, and later the end."""
        self._is_watched = self._is_requested = True

    async def close(self) -> None:
        """Stop reporting; report the end if the parent asked for it."""
        self._task.cancel()
        if self._is_watched:
            await self._send(Told(run_id=self._run_id, ended=True))

    async def _report_changes(self) -> None:
        while True:
            await workflow.wait_condition(
                lambda: (
                    self._is_requested
                    or self._is_idle() != self._was_idle
                    or self._gates.version != self._version
                    or not self._gates.resolved <= self._reported
                )
            )
            # Sorted, since a set has no order that a replay would repeat.
            resolved = sorted(self._gates.resolved - self._reported)
            self._was_idle, self._is_requested = self._is_idle(), False
            # A new version is reported even if the run is idle as before: it may have continued and
            # stopped again meanwhile, so that the parent has to look at the rows again.
            self._version = self._gates.version
            self._reported.update(resolved)
            report = Told(run_id=self._run_id, stands_still=self._was_idle, heard=tuple(resolved))
            await self._send(report)

    async def _send(self, report: Told) -> None:
        # It fails if the parent has ended: then nobody waits for this run.
        with suppress(FailureError):
            await send(self._parent, "told", report)


async def send(workflow_id: str, signal: str, message: Contract) -> None:
    """Signal another run's workflow, even if the calling task is cancelled meanwhile.

    It is shielded, because a signal that is cancelled in the very activation that makes it never
    completes: the workflow task would not end.

    Raises:
        FailureError: there is no such workflow any more.
    """
    handle = workflow.get_external_workflow_handle(workflow_id)
    await asyncio.shield(asyncio.ensure_future(handle.signal(signal, message)))
