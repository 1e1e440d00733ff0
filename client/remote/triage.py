"""Triage over HTTP: claim, hand on, put off, comment."""

from datetime import datetime

from pydantic import JsonValue

from kern.client.api.resources import CommentResource, RequirementResource, SnoozeResource
from kern.client.remote.connection import Connection, ModelT
from kern.client.remote.identity import Identity
from kern.contracts.triage import Comment, Snooze
from kern.contracts.viewer import Viewer
from kern.requirements import Principal, Requirement
from kern.values.ids import new_id, require_id


class RemoteTriage:
    """Triage as whoever the token belongs to. Each method raises as that of `Triage`.

    Args:
        connection: The API.
        identity: Whose token it is.
    """

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def claim(
        self,
        viewer: Viewer,
        requirement_id: str,
        by: str | Principal | None = None,
        *,
        minutes: int,
    ) -> Requirement:
        """Take care of a requirement for some minutes."""
        body: dict[str, JsonValue] = {"minutes": minutes}
        path = await self._path(viewer, requirement_id, by, "claim")
        return (await self._put(RequirementResource, path, body)).requirement()

    async def release(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None = None
    ) -> Requirement:
        """End one's own claim."""
        path = await self._path(viewer, requirement_id, by, "claim")
        return (await self._connection.delete(RequirementResource, *path)).requirement()

    async def delegate(
        self,
        viewer: Viewer,
        requirement_id: str,
        to: str,
        by: str | Principal | None = None,
        *,
        note: str | None = None,
    ) -> Requirement:
        """Hand a decision to another person or group."""
        body: dict[str, JsonValue] = {"to": to} if note is None else {"to": to, "note": note}
        path = await self._path(viewer, requirement_id, by, "delegation")
        resource = await self._connection.post(RequirementResource, *path, body=body, key=new_id())
        return resource.requirement()

    async def snooze(
        self,
        viewer: Viewer,
        requirement_id: str,
        until: datetime,
        by: str | Principal | None = None,
    ) -> Snooze:
        """Put a requirement off."""
        path = await self._path(viewer, requirement_id, by, "snooze")
        resource = await self._put(SnoozeResource, path, {"until": until.isoformat()})
        return Snooze(requirement_id=resource.requirement, until=resource.until)

    async def wake(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None = None
    ) -> Requirement:
        """Have a requirement back that was put off."""
        path = await self._path(viewer, requirement_id, by, "snooze")
        return (await self._connection.delete(RequirementResource, *path)).requirement()

    async def comment(
        self,
        viewer: Viewer,
        requirement_id: str,
        text: str,
        by: str | Principal | None = None,
    ) -> Comment:
        """Write something about a requirement."""
        path = await self._path(viewer, requirement_id, by, "comments")
        resource = await self._connection.post(
            CommentResource, *path, body={"text": text}, key=new_id()
        )
        return resource.comment()

    async def _path(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None, part: str
    ) -> tuple[str, str, str]:
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)
        return "requirements", require_id("requirement_id", requirement_id), part

    async def _put(
        self, model: type[ModelT], path: tuple[str, ...], body: dict[str, JsonValue]
    ) -> ModelT:
        return await self._connection.change(model, *path, body=body, method="PUT")
