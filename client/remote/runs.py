"""Runs over HTTP: read, list, cancel, retry."""

from datetime import datetime

from pydantic import JsonValue

from kern.client.api.pages import Page
from kern.client.api.run_resources import AcceptedChange, RunDetails, RunResource
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.client.remote.pages import collect
from kern.contracts.reports import Acceptance, RunPage, RunReport
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.errors import InvalidInput
from kern.run import RunOutput, StepExecution
from kern.values.ids import new_id, require_id
from kern.values.principals import Principal
from kern.values.states import RunStatus


class RemoteRuns:
    """Reads, lists, cancels and retries runs. Each method raises as that of `Runs`."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def full_id(self, viewer: Viewer, ending: str) -> str:
        """Return the id of the only run whose id ends so."""
        await self._identity.check_tenant(viewer)
        path = ("runs", require_id("run_id", ending))
        return (await self._connection.get(RunResource, *path)).id

    async def status(self, viewer: Viewer, run_id: str) -> RunStatus:
        """Read where a run stands."""
        return (await self.read(viewer, run_id)).status

    async def read(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Read a run."""
        return (await self._details(viewer, run_id)).run()

    async def report(self, viewer: Viewer, run_id: str) -> RunReport:
        """Read a run with everything that happened in it."""
        return (await self._details(viewer, run_id)).report()

    async def steps(
        self, viewer: Viewer, run_id: str, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a workflow's run has opened."""
        await self._identity.check_tenant(viewer)
        page = await self._connection.get(
            Page[StepExecution],
            *("runs", require_id("run_id", run_id), "steps"),
            parameters={"limit": limit, "after": after},
        )
        return page.items

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
        """List runs, the latest first, without child runs."""
        await self._identity.check_tenant(viewer)

        async def read(count: int, after: str | None) -> Page[RunResource]:
            parameters = {
                "limit": count,
                "after": after,
                "status": status,
                "user": user_id,
                "component": component_id,
                "session": session_id,
                "created_after": created_after,
                "q": search,
            }
            return await self._connection.get(Page[RunResource], "runs", parameters=parameters)

        page = await collect(read, limit, cursor)
        return RunPage(runs=[item.run() for item in page.items], next_cursor=page.next)

    async def start(self, viewer: Viewer, request: RunRequest) -> Acceptance:
        """Accept a run of a component that a running worker has; a lost answer is asked for again.

        Raises:
            InvalidInput: the request has what is not sent over HTTP, such as files.
        """
        await self._identity.check_tenant(viewer)
        body = request.model_dump(mode="json", exclude_defaults=True)
        names = {"component_id": "component", "session_id": "session", "user_id": "user"}
        sent = {*names, "input", "on_busy", "metadata"}
        if unsent := sorted(body.keys() - sent):
            message = f"A run over HTTP is started without {', '.join(unsent)}: leave them out."
            raise InvalidInput(message)
        fields = {names.get(name, name): value for name, value in body.items()}
        accepted = await self._connection.post(AcceptedChange, "runs", body=fields, key=new_id())
        return accepted.acceptance()

    async def cancel(
        self,
        viewer: Viewer,
        run_id: str,
        *,
        by: str | Principal | None = None,
        note: str | None = None,
    ) -> Acceptance:
        """Cancel a run. One that is cancelled already is cancelled, so it may be sent again."""
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)
        return await self._change(run_id, "cancellation", note, again=True)

    async def retry(
        self,
        viewer: Viewer,
        run_id: str,
        *,
        by: str | Principal | None = None,
        note: str | None = None,
    ) -> Acceptance:
        """Have a run that failed continue."""
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)
        return await self._change(run_id, "retry", note, again=False)

    async def _change(
        self, run_id: str, change: str, note: str | None, *, again: bool
    ) -> Acceptance:
        path = ("runs", require_id("run_id", run_id), change)
        body: dict[str, JsonValue] = {} if note is None else {"note": note}
        accepted = await self._connection.post(AcceptedChange, *path, body=body, again=again)
        return accepted.acceptance()

    async def _details(self, viewer: Viewer, run_id: str) -> RunDetails:
        await self._identity.check_tenant(viewer)
        return await self._connection.get(RunDetails, "runs", require_id("run_id", run_id))
