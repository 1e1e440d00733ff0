"""Tokens over HTTP: make, list, revoke."""

from collections.abc import Sequence
from datetime import timedelta

from kern.client.api.pages import Page
from kern.client.api.people_resources import EndedSessions, WebSessionResource
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.contracts.tokens import NewToken, Token
from kern.contracts.viewer import Viewer, present_operator
from kern.contracts.web_sessions import WebSession
from kern.errors import InvalidInput
from kern.requirements import Principal
from kern.values.ids import require_id
from kern.values.roles import Role


class RemoteAccess:
    """Makes, lists and revokes tokens. Each method raises as that of `Access`."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def make_token(
        self,
        principal: Principal,
        roles: Sequence[Role],
        *,
        label: str,
        life: timedelta,
        created_by: str,
    ) -> NewToken:
        """Make a token in the tenant of whoever the token of this connection belongs to.

        Raises:
            InvalidInput: its life is no number of days.
        """
        await self._identity.check_tenant(present_operator())
        await self._identity.check_person(created_by)
        if life != timedelta(days=life.days):
            raise InvalidInput(f"A token lives for a number of days over HTTP, not for {life}.")
        return await self._connection.post(
            NewToken,
            "tokens",
            body={
                "label": label,
                "subject": principal.subject,
                "name": principal.name,
                "kind": principal.kind.value,
                "groups": list(principal.groups),
                "roles": [role.value for role in roles],
                "days": life.days,
            },
        )

    async def tokens(self, viewer: Viewer) -> list[Token]:
        """List tokens, the latest first."""
        await self._identity.check_tenant(viewer)
        return (await self._connection.get(Page[Token], "tokens")).items

    async def revoke_token(self, viewer: Viewer, token_id: str, by: str) -> Token:
        """Let nobody in with a token from now on."""
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)
        return await self._connection.delete(Token, "tokens", require_id("token_id", token_id))

    async def sessions(self, viewer: Viewer) -> list[WebSession]:
        """List who has signed in with a browser."""
        await self._identity.check_tenant(viewer)
        page = await self._connection.get(Page[WebSessionResource], "web-sessions")
        return [item.session() for item in page.items]

    async def end_sessions(self, viewer: Viewer, subject: str, by: str) -> int:
        """End the sessions of somebody."""
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by)
        ended = await self._connection.delete(
            EndedSessions, "web-sessions", parameters={"subject": subject}
        )
        return ended.ended
