"""Absences over HTTP: who is away, and that whoever the token belongs to is."""

from datetime import datetime

from pydantic import JsonValue

from kern.client.api.pages import Page
from kern.client.api.people_resources import AbsenceResource, EndedAbsence
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.client.remote.pages import collect
from kern.contracts.triage import Absence, AbsencePage
from kern.contracts.viewer import Viewer
from kern.requirements import Principal
from kern.values.ids import require_text
from kern.values.validation import require_time


class RemoteAbsences:
    """Who is away. Each method raises as that of `Absences`.

    Args:
        connection: The API.
        identity: Whose token it is.
    """

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def begin(
        self,
        viewer: Viewer,
        until: datetime,
        by: str | Principal | None = None,
        *,
        since: datetime | None = None,
        note: str | None = None,
    ) -> Absence:
        """Say that whoever the token belongs to is away until then."""
        await self._check(viewer, by)
        body: dict[str, JsonValue] = {"until": require_time("until", until).isoformat()}
        if since is not None:
            body["since"] = require_time("since", since).isoformat()
        if note is not None:
            body["note"] = require_text("note", note)
        resource = await self._connection.change(
            AbsenceResource, "me", "absence", body=body, method="PUT"
        )
        return resource.absence()

    async def end(self, viewer: Viewer, by: str | Principal | None = None) -> bool:
        """Say that whoever the token belongs to is back, and return whether they were away."""
        await self._check(viewer, by)
        return (await self._connection.delete(EndedAbsence, "me", "absence")).ended

    async def page(self, viewer: Viewer, *, limit: int, cursor: str | None = None) -> AbsencePage:
        """List who is away now."""
        await self._identity.check_tenant(viewer)

        async def read(count: int, after: str | None) -> Page[AbsenceResource]:
            parameters = {"limit": count, "after": after}
            return await self._connection.get(
                Page[AbsenceResource], "absences", parameters=parameters
            )

        page = await collect(read, limit, cursor)
        return AbsencePage(absences=[item.absence() for item in page.items], next_cursor=page.next)

    async def _check(self, viewer: Viewer, by: str | Principal | None) -> None:
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)
