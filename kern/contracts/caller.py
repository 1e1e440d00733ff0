"""Who calls a server, as they authenticated."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from kern.contracts.viewer import Viewer
from kern.errors import NotAllowed
from kern.values.principals import Principal
from kern.values.roles import Right, Role, rights_of


@dataclass(frozen=True)
class Caller:
    """Somebody who has come in.

    Attributes:
        principal: Who they are.
        roles: What they may do.
        method: How they authenticated: `token`, `link` or `oidc`.
        all_tenants: Whether they reach what belongs to any tenant, as the operator of the
            installation does.
        authenticated_at: When they last proved who they are, as far as that is known (UTC).
        is_stale: Whether that is too long ago for a decision about what has a high risk.
    """

    principal: Principal
    roles: tuple[Role, ...]
    method: str
    all_tenants: bool = False
    authenticated_at: datetime | None = None
    is_stale: bool = False

    @property
    def viewer(self) -> Viewer:
        """The viewer as whom they read and decide."""
        tenant = None if self.all_tenants else self.principal.tenant
        return Viewer(is_operator=True, principal=self.principal, tenant=tenant)

    @property
    def rights(self) -> frozenset[Right]:
        """What they may do."""
        return rights_of(self.roles)

    def at(self, now: datetime, fresh_seconds: float | None) -> Self:
        """Return them at a moment, where a sign-in is fresh for so long; None for ever."""
        moment = self.authenticated_at
        is_stale = fresh_seconds is not None and (
            moment is None or now - moment > timedelta(seconds=fresh_seconds)
        )
        return replace(self, is_stale=is_stale)

    def require(self, right: Right) -> None:
        """Refuse whoever lacks a right.

        Raises:
            NotAllowed: none of their roles has it.
        """
        if right in self.rights:
            return
        message = (
            f"{self.principal.name} has the {_roles(self.roles)}, which may not {_ACTS[right]}. "
            "Ask an administrator for a role that may."
        )
        raise NotAllowed(message)


_ACTS = {
    Right.read: "read",
    Right.operate: "decide, or start, cancel and retry runs",
    Right.audit: "read the log of decisions",
    Right.administer: "administer",
}


def _roles(roles: Iterable[Role]) -> str:
    names = [role.value for role in roles]
    return f"role {names[0]}" if len(names) == 1 else f"roles {' and '.join(names)}"
