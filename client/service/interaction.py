"""What a caller does who waits: run, continue and retry until the next stop, or read meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from kern.client.service.acceptance import following, watching
from kern.client.service.decision_checks import check_edits
from kern.client.service.inbox import AcceptedDecision, Inbox
from kern.client.service.reading import RunReader
from kern.client.service.runs import Runs
from kern.client.service.streams import Readers
from kern.client.service.waiting import FIRST_WAIT, LONGEST_WAIT, Waiting
from kern.components.component import Component
from kern.components.operations import Show
from kern.contracts.messages import StopQuery
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.process.wakeup import Wakeup
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.ids import new_id, require_id


@dataclass(frozen=True)
class Submitted:
    """Decisions that are stored.

    Attributes:
        query: What the run's workflow has to have heard of before its next stop counts.
        is_idle: Whether the run waits for people all the same.
        is_empty: Whether nothing was decided.
    """

    query: StopQuery
    is_idle: bool
    is_empty: bool = False


class Interaction:
    """Runs components and waits for their stops, for one store and one Temporal."""

    def __init__(self, runs: Runs, inbox: Inbox, readers: Readers, waiting: Waiting) -> None:
        self._runs = runs
        self._inbox = inbox
        self._readers = readers
        self._waiting = waiting

    async def run(
        self, viewer: Viewer, component: Component, request: RunRequest, *, background: bool
    ) -> RunOutput:
        """Accept a run, and wait for its first stop unless in the background."""
        run_id = request.run_id or new_id()
        if request.run_id is not None and not background:
            await self._waiting.refuse_own(run_id)
        request = request.model_copy(update={"run_id": run_id})
        if background:
            await self._runs.accept(viewer, component, request)
            with following(run_id):
                return await self._runs.read(viewer, run_id)
        with self._waiting.watch(run_id) as watch:
            accepted = await self._runs.accept(viewer, component, request)
            with following(run_id):
                if not accepted.is_new and await self._waiting.is_idle(run_id):
                    # The same run was accepted before, and has stopped since.
                    return await self._stopped(viewer, run_id)
                return await self._stop(viewer, run_id, watch)

    async def continue_run(
        self,
        viewer: Viewer,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
    ) -> RunOutput:
        """Submit what was filled in, all of it or nothing, and wait for the run's next stop."""
        await self._waiting.refuse_own(require_id("run_id", run_id))
        await check_edits(component, requirements)
        with self._waiting.watch(run_id) as watch:
            submitted = await self._submit(viewer, run_id, requirements)
            with watching(run_id) if submitted.is_empty else following(run_id, "decision"):
                if submitted.is_idle:
                    return await self._stopped(viewer, run_id)
                return await self._stop(viewer, run_id, watch, submitted.query)

    async def retry(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Have a run that failed continue, and wait for its next stop."""
        with self._waiting.watch(run_id) as watch:
            await self._runs.retry(viewer, run_id)
            with following(run_id, "retry"):
                return await self._stop(viewer, run_id, watch)

    async def cancel(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Cancel a run, and read it."""
        await self._runs.cancel(viewer, run_id)
        with following(run_id, "cancellation"):
            return await self._runs.read(viewer, run_id)

    async def stream(
        self, viewer: Viewer, component: Component, request: RunRequest, show: Show
    ) -> RunReader:
        """Accept a run and deliver it; the reader is there before its first word."""
        run_id = request.run_id or new_id()
        if request.run_id is not None:
            await self._waiting.refuse_own(run_id)
        follower = await self._readers.follower(run_id)
        try:
            streamed = request.model_copy(update={"stream": True, "run_id": run_id})
            await self._runs.accept(viewer, component, streamed)
            if request.run_id is not None:
                # It may have been accepted before, for a caller who did not read it.
                with following(run_id):
                    await self._readers.announced(run_id, viewer)
        except BaseException:
            follower.close()
            raise
        return self._readers.reader(follower, viewer, show, after=0)

    async def stream_continued(
        self,
        viewer: Viewer,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
        show: Show,
    ) -> RunReader:
        """Submit what was filled in, and read what follows."""
        await self._waiting.refuse_own(require_id("run_id", run_id))
        await check_edits(component, requirements)
        follower = await self._readers.follower(run_id)
        try:
            with watching(run_id):
                last = await self._readers.announced(run_id, viewer)
            await self._submit(viewer, run_id, requirements)
        except BaseException:
            follower.close()
            raise
        return self._readers.reader(follower, viewer, show, after=last)

    async def _submit(
        self, viewer: Viewer, run_id: str, requirements: Sequence[Requirement]
    ) -> Submitted:
        require_id("run_id", run_id)
        if all(item.draft is None for item in requirements):
            # With a decision, the transaction that stores it checks whose run it is.
            with watching(run_id):
                status = await self._runs.status(viewer, run_id)
            return Submitted(StopQuery(), status.is_idle, is_empty=True)
        accepted = await self._inbox.decide_all(viewer, requirements, within=run_id)
        if accepted[-1].run_ids[-1] == run_id:
            is_idle = accepted[-1].is_idle
        else:
            # The requirement is a child run's: the row of this run says whether it is idle.
            with following(run_id, "decision"):
                is_idle = await self._waiting.is_idle(run_id)
        resolving = [item for item in accepted if item.gate_id is not None]
        return Submitted(_query(run_id, resolving), is_idle)

    async def _stop(
        self, viewer: Viewer, run_id: str, watch: Wakeup, query: StopQuery | None = None
    ) -> RunOutput:
        """Wait until a run is idle, and read it.

        When somebody else decides about a child run, its row changes before its workflow hears.
        """
        delay = FIRST_WAIT
        while True:
            await self._waiting.stop(run_id, watch, query)
            output = await self._stopped(viewer, run_id)
            if output.status.is_idle:
                return output
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_WAIT)

    async def _stopped(self, viewer: Viewer, run_id: str) -> RunOutput:
        output = await self._runs.read(viewer, run_id)
        if output.status.is_final:
            self._waiting.ended(run_id)
        return output


def _query(run_id: str, decisions: Sequence[AcceptedDecision]) -> StopQuery:
    resolved = tuple(item.gate_id for item in decisions if item.gate_id is not None)
    through: dict[str, str] = {}
    for item in decisions:
        below = item.run_ids[item.run_ids.index(run_id) + 1 :]
        if below and item.gate_id is not None:
            through[item.gate_id] = below[0]
    if through:
        return StopQuery(resolved=resolved, through=through)
    return StopQuery(resolved=resolved)
