"""Who the token lets in: they decide, in their tenant alone."""

from pydantic import BaseModel

from kern.client.remote.connection import Connection
from kern.contracts.viewer import Viewer
from kern.errors import NotAllowed
from kern.requirements import Principal
from kern.values.names import name_key
from kern.values.principals import keys_of


class _Me(BaseModel):
    principal: Principal


class Identity:
    """The principal of a token, read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._principal: Principal | None = None

    async def principal(self) -> Principal:
        """Return who calls."""
        if self._principal is None:
            self._principal = (await self._connection.get(_Me, "me")).principal
        return self._principal

    async def check_tenant(self, viewer: Viewer) -> None:
        """Refuse to act for another tenant than the token's.

        Raises:
            NotAllowed: the viewer names another one.
        """
        if viewer.tenant is None:
            return
        principal = await self.principal()
        if principal.tenant != viewer.tenant:
            message = (
                f"The token is {principal.name}'s in the tenant {principal.tenant!r}, and "
                f"{viewer.tenant!r} was named: use a token of that tenant, or name none (--tenant, "
                "KERN_TENANT)."
            )
            raise NotAllowed(message)

    async def is_owner(self, person: str | Principal) -> bool:
        """Whether somebody is whoever the token lets in; of a name, whether they are called so."""
        principal = await self.principal()
        if isinstance(person, Principal):
            return (person.issuer, person.subject) == (principal.issuer, principal.subject)
        return name_key(person) in keys_of(principal)

    async def check_person(self, by: str | Principal | None) -> None:
        """Refuse a name that is not that of whoever the token lets in: they alone decide.

        Raises:
            NotAllowed: somebody else is named.
        """
        if by is None:
            return
        principal = await self.principal()
        if not await self.is_owner(by):
            name = by.name if isinstance(by, Principal) else by
            message = (
                f"{name!r} is to decide, and the token belongs to {principal.name!r} "
                f"({principal.subject!r} of {principal.issuer!r}). Nothing was decided. Over HTTP "
                "whoever the token belongs to decides: leave the name out (by=, --by, KERN_BY), or "
                "use their token."
            )
            raise NotAllowed(message)
