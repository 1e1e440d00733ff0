"""Tokens with which people and services call the API."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from kern.contracts.caller import Caller
from kern.values.principals import Principal
from kern.values.roles import Role
from kern.values.states import PrincipalKind
from kern.values.tenants import DEFAULT_TENANT

# Who vouches for the people and services for whom tokens are made.
_ISSUER = "kern-token"
# That a token was used is noted so often, not at each request.
_USE_EVERY = timedelta(minutes=1)


class Token(BaseModel):
    """A token as people are shown it: everything but its secret.

    Attributes:
        label: What it is for.
        prefix: How its secret begins.
        used_at: When it was last used, to the minute (UTC).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    label: str
    prefix: str
    principal: Principal
    roles: tuple[Role, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it lets anybody in."""
        return self.revoked_at is None and now < self.expires_at

    def was_used_before(self, now: datetime) -> bool:
        """Whether its last use was noted so long ago that this one has to be."""
        return self.used_at is None or now - self.used_at >= _USE_EVERY

    @property
    def caller(self) -> Caller:
        """Who comes in with it."""
        return Caller(self.principal, self.roles, "token")


class NewToken(BaseModel):
    """A token that was just made; its secret is shown once and kept nowhere."""

    model_config = ConfigDict(frozen=True)

    token: Token
    secret: str


def token_principal(
    subject: str,
    *,
    name: str | None = None,
    kind: PrincipalKind = PrincipalKind.person,
    groups: Sequence[str] = (),
    tenant: str = DEFAULT_TENANT,
) -> Principal:
    """Return who comes in with a token: Kern itself vouches for them.

    Raises:
        InvalidInput: a name can be none.
    """
    return Principal(
        issuer=_ISSUER,
        subject=subject,
        name=subject if name is None else name,
        kind=kind,
        groups=tuple(groups),
        tenant=tenant,
    )
