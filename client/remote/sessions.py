"""Sessions over HTTP: read, list, name, delete."""

from kern.client.api.pages import Page
from kern.client.api.session_resources import SessionReportResource, SessionResource
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.client.remote.pages import collect
from kern.contracts.reports import Deletion, SessionReport
from kern.contracts.viewer import Viewer
from kern.session import Session, SessionPage
from kern.values.ids import require_id


class RemoteSessions:
    """Reads, lists, names and deletes sessions. Each method raises as that of `Sessions`."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def full_id(self, viewer: Viewer, ending: str) -> str:  # noqa: ARG002  the server looks
        """Return the id as it is: the server knows the session by its end, too."""
        return require_id("session_id", ending)

    async def read(self, viewer: Viewer, session_id: str) -> Session:
        """Read a session."""
        path = await self._path(viewer, session_id)
        return (await self._connection.get(SessionResource, *path)).session()

    async def page(
        self, viewer: Viewer, limit: int, cursor: str | None, user_id: str | None = None
    ) -> SessionPage:
        """List sessions, the latest first."""
        await self._identity.check_tenant(viewer)

        async def read(count: int, after: str | None) -> Page[SessionResource]:
            parameters = {"limit": count, "after": after, "user": user_id}
            return await self._connection.get(
                Page[SessionResource], "sessions", parameters=parameters
            )

        page = await collect(read, limit, cursor)
        sessions = [item.session() for item in page.items]
        return SessionPage(sessions=sessions, next_cursor=page.next)

    async def report(self, viewer: Viewer, session_id: str, limit: int) -> SessionReport:
        """Read a session with its metrics and its latest runs."""
        path = await self._path(viewer, session_id)
        resource = await self._connection.get(
            SessionReportResource, *path, "report", parameters={"runs": limit}
        )
        return resource.report()

    async def rename(self, viewer: Viewer, session_id: str, name: str) -> Session:
        """Give a session a name."""
        path = await self._path(viewer, session_id)
        return (
            await self._connection.change(SessionResource, *path, body={"name": name})
        ).session()

    async def delete(self, viewer: Viewer, session_id: str) -> Deletion:
        """Delete a session."""
        return await self._connection.delete(Deletion, *await self._path(viewer, session_id))

    async def _path(self, viewer: Viewer, session_id: str) -> tuple[str, str]:
        await self._identity.check_tenant(viewer)
        return "sessions", require_id("session_id", session_id)
