"""Runs from outside: accept them, wait for their stops, decide, cancel, read."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import Session
from temporalio.client import Client, RPCTimeoutOrCancelledError, WorkflowUpdateFailedError
from temporalio.service import RPCError

from kern.canonical import clean_text
from kern.checkpoints import reach
from kern.client.courier import Courier
from kern.component import Component
from kern.contracts import Stop, StopQuery
from kern.db import accepting, deciding, outputs, retrying, runs, step_listing
from kern.db.deciding import Accepted, Submission
from kern.db.engine import Database
from kern.db.outbox import Delivery
from kern.db.tables import RunRow
from kern.db.viewer import Viewer, system_user
from kern.errors import InvalidDecision
from kern.ids import an_id, new_id
from kern.logs import get_logger
from kern.media import read_all
from kern.requirements import Requirement
from kern.run import RunOutput, StepExecution
from kern.runner import RunRequest
from kern.states import RunStatus

_log = get_logger("kern.client")

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0
# So often the row of a run is looked at whose workflow has not answered yet: the row decides.
_LOOK_AGAIN_SECONDS = 20.0


class Runs:
    """Everything that talks to runs from outside, for one database and one Temporal."""

    def __init__(
        self,
        db: Database,
        temporal: Client,
        courier: Courier,
        *,
        look_again: float = _LOOK_AGAIN_SECONDS,
    ) -> None:
        self._look_again = look_again
        self._db = db
        self._temporal = temporal
        self._courier = courier

    async def run(
        self, component: Component, request: RunRequest, *, background: bool
    ) -> RunOutput:
        """Accept a run, deliver it, and wait for its first stop unless in the background."""
        run_id, viewer = await self.start(component, request), Viewer(request.user_id)
        if background:
            return await self.output(run_id, viewer)
        return await self._stop(run_id, viewer)

    async def start(self, component: Component, request: RunRequest) -> str:
        """Accept a run and deliver it; return its id."""
        run_id, delivery = await self.accept(component, request)
        if delivery is not None:
            await self._courier.tell_at_once(delivery)
        return run_id

    async def accept(
        self, component: Component, request: RunRequest
    ) -> tuple[str, Delivery | None]:
        """Store that a run was asked for; from here on it cannot be lost."""
        run_id, session_id = request.run_id or new_id(), request.session_id or new_id()
        now = datetime.now(UTC)
        attachments = await asyncio.to_thread(read_all, request.media) if request.media else []
        reach("accept.before_store")
        delivery = await self._db.write(
            lambda tx: accepting.accept(
                tx,
                request,
                component_kind=component.kind,
                initial_state=component.initial_state,
                now=now,
                run_id=run_id,
                session_id=session_id,
                attachments=attachments,
            )
        )
        reach("accept.after_store")
        return run_id, delivery

    async def continue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement],
        user_id: str | None,
        component_id: str | None = None,
    ) -> RunOutput:
        """Submit what was filled in, all of it or nothing, and wait for the run's next stop."""
        viewer = viewer_of(requirements, user_id, component_id)
        return await self._stop(run_id, viewer, await self.submit(run_id, requirements, viewer))

    async def submit(
        self, run_id: str, requirements: Sequence[Requirement], viewer: Viewer
    ) -> StopQuery:
        """Submit what was filled in, all of it or nothing; return what the run has to hear of."""
        an_id("run_id", run_id)
        if all(item.draft is None for item in requirements):
            # Otherwise the transaction that decides finds out.
            await self._db.read(lambda tx: outputs.find_run(tx, run_id, viewer))
        accepted = await self.resolve(requirements, viewer, within=run_id)
        return _to_hear(run_id, [one for one in accepted if one.delivery is not None])

    async def resolve(
        self, requirements: Sequence[Requirement], viewer: Viewer, *, within: str | None = None
    ) -> list[Accepted]:
        """Accept the decisions that were filled in, in one transaction, and deliver them.

        `within` is the run in which, or in the runs inside which, all of them have to be.

        Raises:
            KernError: one of them is refused, and then none was stored.
        """
        submissions = [_submission(item) for item in requirements if item.draft is not None]
        if not submissions:
            return []
        now = datetime.now(UTC)

        def decide(tx: Session) -> list[Accepted]:
            return [deciding.resolve(tx, one, viewer, now, within=within) for one in submissions]

        reach("resolve.before_store")
        accepted = await self._db.write(decide)
        reach("resolve.after_store")
        for one in accepted:
            if one.delivery is not None:
                await self._courier.tell_at_once(one.delivery)
        return accepted

    async def cancel(self, run_id: str, viewer: Viewer) -> RunOutput:
        """Cancel a run: it is stored first, and Temporal is told then."""
        now = datetime.now(UTC)
        an_id("run_id", run_id)
        reach("cancel.before_store")
        delivery = await self._db.write(lambda tx: runs.cancel(tx, run_id, viewer, now))
        reach("cancel.after_store")
        await self._courier.tell_at_once(delivery)
        return await self.output(run_id, viewer)

    async def retry(self, run_id: str, viewer: Viewer) -> RunOutput:
        """Have a pipeline that failed go on where it failed, and wait for its next stop."""
        now = datetime.now(UTC)
        an_id("run_id", run_id)
        delivery = await self._db.write(lambda tx: retrying.retry(tx, run_id, viewer, now))
        if delivery is not None:
            await self._courier.tell_at_once(delivery)
        return await self._stop(run_id, viewer)

    async def output(self, run_id: str, viewer: Viewer) -> RunOutput:
        """Read a run as it stands."""
        an_id("run_id", run_id)
        return await self._db.read(lambda tx: outputs.run_output(tx, run_id, viewer))

    async def _stop(self, run_id: str, viewer: Viewer, heard: StopQuery | None = None) -> RunOutput:
        """Wait until a run stands still, and read it.

        Where a run inside it was decided about by somebody else, its row knows of it before its
        workflow does.
        """
        delay = _FIRST_WAIT
        while True:
            await self.wait(run_id, heard)
            output = await self.output(run_id, viewer)
            if output.is_paused or output.status.is_final:
                return output
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_WAIT)

    async def steps(
        self, run_id: str, viewer: Viewer, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a pipeline has opened."""

        def read(tx: Session) -> list[StepExecution]:
            outputs.find_run(tx, run_id, viewer)
            return step_listing.steps_of(tx, run_id, limit, after)

        an_id("run_id", run_id)
        return await self._db.read(read)

    async def wait(self, run_id: str, heard: StopQuery | None = None) -> None:
        """Wait until a run stands still, having heard of what the query names.

        The workflow answers; while Temporal does not, or has not started the run yet, and seldom
        beside that, the row is looked at.
        """
        query, delay = heard or StopQuery(), _FIRST_WAIT
        while not await self._stops(run_id, query):
            if await self._stands_still(run_id):
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_WAIT)

    async def _stops(self, run_id: str, query: StopQuery) -> bool:
        asking = asyncio.create_task(self._ask(run_id, query))
        try:
            while not (await asyncio.wait({asking}, timeout=self._look_again))[0]:
                if await self._stands_still(run_id):
                    return True
            return asking.result()
        finally:
            asking.cancel()

    async def _stands_still(self, run_id: str) -> bool:
        return await self._db.read(lambda tx: _stands_still(tx, run_id))

    async def _ask(self, run_id: str, query: StopQuery) -> bool:
        handle = self._temporal.get_workflow_handle(run_id)
        try:
            stop = await handle.execute_update(
                "wait_for_stop", query, id=new_id(), result_type=Stop
            )
        except (
            RPCError,
            RPCTimeoutOrCancelledError,
            WorkflowUpdateFailedError,
            RuntimeError,
        ) as error:
            _log.debug("waiting", run_id=run_id, why=str(error))
            return False
        return not stop.moved

    async def close(self) -> None:
        """Finish what is still being noted."""
        await self._courier.close()


def viewer_of(
    requirements: Sequence[Requirement], user_id: str | None, component_id: str | None
) -> Viewer:
    """Return who speaks: the owner who is named, else the one for whom these were read."""
    if user_id is None and requirements:
        return Viewer(requirements[0].user_id, component_id=component_id)
    return Viewer(user_id, component_id=component_id)


def _to_hear(run_id: str, accepted: Sequence[Accepted]) -> StopQuery:
    resolved = tuple(one.requirement.id for one in accepted)
    through: dict[str, str] = {}
    for one in accepted:
        inside = one.run_ids[one.run_ids.index(run_id) + 1 :]
        if inside:
            through[one.requirement.id] = inside[0]
    return (
        StopQuery(resolved=resolved, through=through) if through else StopQuery(resolved=resolved)
    )


def _submission(requirement: Requirement) -> Submission:
    draft = requirement.draft
    if draft is None:
        message = f"No decision was filled in on requirement {requirement.id!r}."
        raise InvalidDecision(message)
    note = None if draft.note is None else clean_text(draft.note)
    actor = draft.by or requirement.user_id or system_user()
    return Submission(
        requirement_id=requirement.id,
        digest=requirement.submitted_digest,
        draft=draft.model_copy(update={"note": note}),
        actor=clean_text(actor),
    )


def _stands_still(tx: Session, run_id: str) -> bool:
    run = tx.get(RunRow, run_id)
    if run is None:
        raise outputs.no_run(run_id)
    status = RunStatus(run.status)
    return status.is_final or status is RunStatus.paused
