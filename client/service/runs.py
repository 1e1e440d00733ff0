"""Runs from outside: accept them, wait for their stops, decide, cancel, read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from kern.client.service.waiting import FIRST_WAIT, LONGEST_WAIT, Waiting
from kern.client.temporal.courier import Courier
from kern.components.component import Component
from kern.contracts.messages import StopQuery
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer, system_user
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted, Submission
from kern.db.engine.store import Store
from kern.db.journal.outbox import Delivery
from kern.db.reading import run_outputs, step_progress
from kern.db.runs import accepting, lifecycle
from kern.db.steps import retry as retrying
from kern.errors import InvalidDecision
from kern.media import read_all
from kern.process.checkpoints import reach
from kern.process.wakeup import Bell
from kern.requirements import Requirement
from kern.run import RunOutput, StepExecution
from kern.values.canonical import clean_text
from kern.values.ids import an_id, new_id
from kern.values.states import RunStatus


@dataclass(frozen=True)
class Submitted:
    """What a run was told, and whether it stands still all the same."""

    heard: StopQuery
    stands_still: bool


class Runs:
    """Everything that talks to runs from outside, for one database and one Temporal."""

    def __init__(self, db: Store, courier: Courier, waiting: Waiting) -> None:
        self._db = db
        self._courier = courier
        self._waiting = waiting

    async def run(
        self, component: Component, request: RunRequest, *, background: bool
    ) -> RunOutput:
        """Accept a run, deliver it, and wait for its first stop unless in the background."""
        run_id, viewer = request.run_id or new_id(), Viewer(request.user_id)
        if background:
            await self.start(component, request, run_id)
            return await self.output(run_id, viewer)
        with self._waiting.watch(run_id) as watch:
            is_told = await self.start(component, request, run_id)
            if not is_told and await self._waiting.stands_still(run_id):
                # It was asked for before.
                return await self._stopped(run_id, viewer)
            return await self._stop(run_id, viewer, watch)

    async def start(self, component: Component, request: RunRequest, run_id: str) -> bool:
        """Accept a run and deliver it.

        False when it waits for another one of its session, or was accepted before.
        """
        delivery = await self.accept(component, request, run_id)
        if delivery is not None:
            await self._courier.tell_at_once(delivery)
        return delivery is not None

    async def accept(
        self, component: Component, request: RunRequest, run_id: str
    ) -> Delivery | None:
        """Store that a run was asked for; from here on it cannot be lost."""
        session_id = request.session_id or new_id()
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
        return delivery

    async def continue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement],
        user_id: str | None,
        component_id: str | None = None,
    ) -> RunOutput:
        """Submit what was filled in, all of it or nothing, and wait for the run's next stop."""
        viewer = viewer_of(requirements, user_id, component_id)
        with self._waiting.watch(run_id) as watch:
            submitted = await self.submit(run_id, requirements, viewer)
            if submitted.stands_still:
                return await self._stopped(run_id, viewer)
            return await self._stop(run_id, viewer, watch, submitted.heard)

    async def submit(
        self, run_id: str, requirements: Sequence[Requirement], viewer: Viewer
    ) -> Submitted:
        """Submit what was filled in, all of it or nothing."""
        an_id("run_id", run_id)
        if all(item.draft is None for item in requirements):
            # Otherwise the transaction that decides finds out whose it is.
            status = await self._db.read(lambda tx: run_outputs.find_run(tx, run_id, viewer).status)
            return Submitted(StopQuery(), RunStatus(status).stands_still)
        accepted = await self.resolve(requirements, viewer, within=run_id)
        if accepted[-1].run_ids[-1] == run_id:
            stands_still = accepted[-1].stands_still
        else:
            # Inside it: its own row tells.
            stands_still = await self._waiting.stands_still(run_id)
        heard = _to_hear(run_id, [one for one in accepted if one.delivery is not None])
        return Submitted(heard, stands_still)

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
        delivery = await self._db.write(lambda tx: lifecycle.cancel(tx, run_id, viewer, now))
        reach("cancel.after_store")
        await self._courier.tell_at_once(delivery)
        return await self.output(run_id, viewer)

    async def retry(self, run_id: str, viewer: Viewer) -> RunOutput:
        """Have a pipeline that failed go on where it failed, and wait for its next stop."""
        now = datetime.now(UTC)
        an_id("run_id", run_id)
        with self._waiting.watch(run_id) as watch:
            delivery = await self._db.write(lambda tx: retrying.retry(tx, run_id, viewer, now))
            if delivery is not None:
                await self._courier.tell_at_once(delivery)
            return await self._stop(run_id, viewer, watch)

    async def output(self, run_id: str, viewer: Viewer) -> RunOutput:
        """Read a run as it stands."""
        an_id("run_id", run_id)
        return await self._db.read(lambda tx: run_outputs.run_output(tx, run_id, viewer))

    async def _stop(
        self, run_id: str, viewer: Viewer, watch: Bell, heard: StopQuery | None = None
    ) -> RunOutput:
        """Wait until a run stands still, and read it.

        Where a run inside it was decided about by somebody else, its row knows of it before its
        workflow does.
        """
        delay = FIRST_WAIT
        while True:
            await self._waiting.stop(run_id, watch, heard)
            output = await self._stopped(run_id, viewer)
            if output.status.stands_still:
                return output
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_WAIT)

    async def _stopped(self, run_id: str, viewer: Viewer) -> RunOutput:
        output = await self.output(run_id, viewer)
        if output.status.is_final:
            self._waiting.ended(run_id)
        return output

    async def steps(
        self, run_id: str, viewer: Viewer, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a pipeline has opened."""

        def read(tx: Session) -> list[StepExecution]:
            run_outputs.find_run(tx, run_id, viewer)
            return step_progress.steps_of(tx, run_id, limit, after)

        an_id("run_id", run_id)
        return await self._db.read(read)

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
