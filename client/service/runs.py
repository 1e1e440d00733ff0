"""Run operations that do not wait for the run: accept, cancel, retry, read, list."""

import asyncio
from datetime import UTC, datetime

from sqlmodel import Session

from kern.client.service.acceptance import accepting_run, changing_run, deliver
from kern.client.service.actors import actor_of
from kern.client.service.ports import Deliverer
from kern.client.service.reports import read_report
from kern.components.component import Component, definition_of
from kern.components.policies import policy_of
from kern.contracts.reports import LONGEST_PAGE, Acceptance, RunPage, RunReport
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.journal.outbox import Delivery
from kern.db.reading import listings, run_outputs, step_progress
from kern.db.runs import accepting, lifecycle, workers
from kern.db.runs.workers import ServedComponent
from kern.db.steps import retry as retries
from kern.errors import NotAllowed, NotFound
from kern.media import read_all
from kern.process.calling_run import calling_run
from kern.process.checkpoints import reach
from kern.run import RunOutput, StepExecution
from kern.values.decisions import comment_text
from kern.values.ids import new_id, require_id
from kern.values.principals import Principal
from kern.values.reasons import Reason
from kern.values.states import RunStatus
from kern.values.validation import optional_time, require_count


class Runs:
    """Accepts, cancels, retries, reads and lists runs in one store."""

    def __init__(self, store: Store, deliverer: Deliverer) -> None:
        self._store = store
        self._deliverer = deliverer

    async def accept(self, viewer: Viewer, component: Component, request: RunRequest) -> Acceptance:
        """Accept a run for whoever asks, and have its workflow started.

        Once this returns, the run cannot be lost; the same `run_id` again begins nothing.

        Raises:
            NotAllowed: the request is in the name of somebody else.
            Unavailable: it is not known whether the run was accepted; the error names it.
            KernError: it is refused, and nothing was changed.
        """
        definition = definition_of(component)
        local_component = ServedComponent(
            definition.kind, policy_of(component), definition.initial_state
        )
        return await self._accept(viewer, local_component, request)

    async def start(self, viewer: Viewer, request: RunRequest) -> Acceptance:
        """Accept a run of a component that a running worker has, without having its code here.

        What the worker that started last declares is pinned on the run; whoever executes it may
        only be stricter. Otherwise as `accept`.

        Raises:
            NotFound: no running worker has the component.
        """
        component_id, now = require_id("component", request.component_id), datetime.now(UTC)
        component = await self._store.read(
            lambda tx: workers.served_component(tx, component_id, now)
        )
        if component is None:
            message = (
                f"No running worker has a component with the id {component_id!r}: nothing was "
                "accepted. Start one with the app that declares it (`kern worker --app …`)."
            )
            raise NotFound(message)
        return await self._accept(viewer, component, request)

    async def cancel(
        self,
        viewer: Viewer,
        run_id: str,
        *,
        by: str | Principal | None = None,
        note: str | None = None,
    ) -> Acceptance:
        """Cancel a run: the cancellation is stored first, and then delivered.

        One that is cancelled already is cancelled.

        Args:
            viewer: Who asks.
            run_id: The whole id.
            by: Who cancels it, where nobody was authenticated.
            note: Why, for people.

        Raises:
            InvalidInput: the name or the note can be none.
            NotFound: there is no such run.
            NotAllowed: it belongs to somebody else.
            RunEnded: it has ended otherwise.
        """
        require_id("run_id", run_id)
        now, reason = datetime.now(UTC), _reason(viewer, by, note)
        reach("cancel.before_store")
        with changing_run(run_id, "cancellation"):
            delivery = await self._store.write(
                lambda tx: lifecycle.cancel(tx, run_id, viewer, now, reason)
            )
        reach("cancel.after_store")
        return await self._deliver(run_id, delivery)

    async def retry(
        self,
        viewer: Viewer,
        run_id: str,
        *,
        by: str | Principal | None = None,
        note: str | None = None,
    ) -> Acceptance:
        """Have a run that failed continue where it failed; the arguments are those of `cancel`.

        Raises:
            InvalidInput: the name or the note can be none.
            NotFound: there is no such run.
            NotAllowed: it belongs to somebody else.
            Conflict: it has not failed, or is a part of another run.
        """
        require_id("run_id", run_id)
        now, caller, reason = datetime.now(UTC), calling_run(), _reason(viewer, by, note)
        with changing_run(run_id, "retry"):
            delivery = await self._store.write(
                lambda tx: retries.retry(tx, run_id, viewer, now, caller=caller, reason=reason)
            )
        return await self._deliver(run_id, delivery)

    async def read(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Read a run.

        Raises:
            NotFound: there is no such run.
            NotAllowed: it belongs to somebody else.
        """
        require_id("run_id", run_id)
        return await self._store.read(lambda tx: run_outputs.run_output(tx, run_id, viewer))

    async def status(self, viewer: Viewer, run_id: str) -> RunStatus:
        """Read where a run stands, and nothing else of it. Raises as `read`."""
        require_id("run_id", run_id)
        row = await self._store.read(lambda tx: run_outputs.find_run(tx, run_id, viewer))
        return RunStatus(row.status)

    async def report(self, viewer: Viewer, run_id: str) -> RunReport:
        """Read a run with everything that happened in it and its child runs. Raises as `read`."""
        return await self._store.read(lambda tx: read_report(tx, viewer, run_id))

    async def steps(
        self, viewer: Viewer, run_id: str, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a workflow's run has opened. Raises as `read`."""

        def read(tx: Session) -> list[StepExecution]:
            run_outputs.find_run(tx, run_id, viewer)
            return step_progress.steps_of(tx, run_id, limit, after)

        require_id("run_id", run_id)
        return await self._store.read(read)

    async def page(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        status: RunStatus | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        session_id: str | None = None,
        created_after: datetime | None = None,
        search: str | None = None,
    ) -> RunPage:
        """List runs, the latest first, without child runs.

        Args:
            viewer: Who asks; only an operator sees the runs of all users.
            limit: How many at most, up to 1,000.
            cursor: `RunPage.next_cursor` of the page before, or the end of the last run's id.
            status: Only runs with this status.
            user_id: Only runs of this user.
            component_id: Only runs of this component.
            session_id: Only runs of this session.
            created_after: Only runs that were accepted after this moment.
            search: Only runs with this text in their input, user, component or id, among the latest
                10,000.

        Raises:
            InvalidInput: the limit, an id or the time makes no sense.
            NotFound: there is no run at the cursor.
        """
        require_count("limit", limit, most=LONGEST_PAGE)
        since = optional_time("created_after", created_after)
        return await self._store.read(
            lambda tx: listings.list_runs(
                tx,
                viewer,
                limit=limit,
                after=None
                if cursor is None
                else listings.full_run_id(tx, viewer, cursor, name="cursor"),
                status=status,
                user_id=user_id,
                component_id=component_id,
                session_id=session_id,
                created_after=since,
                search=search,
            )
        )

    async def full_id(self, viewer: Viewer, ending: str) -> str:
        """Return the id of the only run whose id ends so.

        Raises:
            NotFound: no run has such an id.
            NotAllowed: it belongs to somebody else.
            InvalidInput: several have.
        """

        def read(tx: Session) -> str:
            full = listings.full_run_id(tx, viewer, ending)
            return run_outputs.find_run(tx, full, viewer).id

        return await self._store.read(read)

    async def _accept(
        self, viewer: Viewer, component: ServedComponent, request: RunRequest
    ) -> Acceptance:
        if not viewer.is_operator and viewer.user_id != request.user_id:
            message = f"A run of user {request.user_id!r} is asked for by {viewer.user_id!r}."
            raise NotAllowed(message)
        run_id, session_id = request.run_id or new_id(), request.session_id or new_id()
        attachments = await asyncio.to_thread(read_all, request.media) if request.media else []
        now, caller = datetime.now(UTC), calling_run()
        reach("accept.before_store")
        with accepting_run(run_id):
            delivery = await self._store.write(
                lambda tx: accepting.accept(
                    tx,
                    request,
                    component_kind=component.kind,
                    initial_state=component.initial_state,
                    now=now,
                    run_id=run_id,
                    session_id=session_id,
                    attachments=attachments,
                    worker_policy=component.policy,
                    requester=viewer.principal,
                    tenant=viewer.accepting_tenant,
                    caller=caller,
                )
            )
        reach("accept.after_store")
        return await self._deliver(run_id, delivery)

    async def _deliver(self, run_id: str, delivery: Delivery | None) -> Acceptance:
        if delivery is None:
            return Acceptance(run_id=run_id, is_new=False, delivered=True)
        delivered = await deliver(self._deliverer, delivery)
        return Acceptance(run_id=run_id, is_new=True, delivered=delivered)


def _reason(viewer: Viewer, by: str | Principal | None, note: str | None) -> Reason:
    actor = actor_of(viewer, by)
    return Reason(
        by=actor.name if isinstance(actor, Principal) else actor,
        note=None if note is None else comment_text("note", note),
    )
