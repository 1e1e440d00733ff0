"""Tells the run above where this one stands."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import FailureError

from kern.contracts.messages import Contract, Told
from kern.workflows.gate import Gates


class Report:
    """Signals the workflow of the run above, whenever this run stops, goes on or hears something.

    Args:
        run_id: This run.
        parent_run_id: The one above.
        gates: What this run waits for.
        stands_still: Whether it stands still, as its row says too.
    """

    def __init__(
        self, run_id: str, parent_run_id: str, gates: Gates, stands_still: Callable[[], bool]
    ) -> None:
        self._run_id = run_id
        self._parent = parent_run_id
        self._gates = gates
        self._stands_still = stands_still
        self._stood, self._news = False, gates.news
        self._told: set[str] = set()
        self._is_watched = self._is_asked = False
        self._task = asyncio.create_task(self._tell_all())

    @property
    def is_watched(self) -> bool:
        """Whether the run above asked to be told of the end."""
        return self._is_watched

    def watch(self) -> None:
        """Tell anew where this run stands, and in time that it has ended."""
        self._is_watched = self._is_asked = True

    async def close(self) -> None:
        """Tell no more, but for the end, if the run above asked for that."""
        self._task.cancel()
        if self._is_watched:
            await self._tell(Told(run_id=self._run_id, ended=True))

    async def _tell_all(self) -> None:
        while True:
            await workflow.wait_condition(
                lambda: (
                    self._is_asked
                    or self._stands_still() != self._stood
                    or self._gates.news != self._news
                    or not self._gates.resolved <= self._told
                )
            )
            heard = sorted(self._gates.resolved - self._told)
            self._stood, self._is_asked = self._stands_still(), False
            # It may have gone on and stopped again since: the run above looks at the rows anew.
            self._news = self._gates.news
            self._told.update(heard)
            news = Told(run_id=self._run_id, stands_still=self._stood, heard=tuple(heard))
            await self._tell(news)

    async def _tell(self, news: Told) -> None:
        # The run above has ended: nobody waits for this one.
        with suppress(FailureError):
            await send(self._parent, "told", news)


async def send(run_id: str, signal: str, message: Contract) -> None:
    """Signal another run's workflow, also when whoever does it is stopped meanwhile.

    A signal that is cancelled in the moment in which it is made is never done: the task of the
    workflow that made it would not end.

    Raises:
        FailureError: there is no such workflow any more.
    """
    handle = workflow.get_external_workflow_handle(run_id)
    await asyncio.shield(asyncio.ensure_future(handle.signal(signal, message)))
