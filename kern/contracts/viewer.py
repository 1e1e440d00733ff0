"""Who looks at a run or acts on it."""

import getpass
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from kern.errors import InvalidInput, KernError, NotAllowed
from kern.process.tenants import named_tenant
from kern.values.ids import require_id
from kern.values.principals import Principal
from kern.values.tenants import DEFAULT_TENANT, tenant_name


class Owned(Protocol):
    """What belongs to a user of a tenant: a row of a session, a run, a requirement or a file."""

    @property
    def tenant(self) -> str:
        """The tenant; the default one is empty."""
        ...

    @property
    def user_id(self) -> str | None:
        """The owner; none is an owner like any other."""
        ...


OwnedT = TypeVar("OwnedT", bound=Owned)


@dataclass(frozen=True)
class Viewer:
    """A user of the product, who reaches their own sessions; no `user_id` is a user like any other.

    Everything is reached within one `tenant`: what belongs to another one is not there. An operator
    reaches all sessions of theirs; without a tenant, which only the operator of the installation
    is, those of all tenants, as whoever holds the database's credentials does. With a
    `component_id`, only what belongs to that component is reached. A `principal` is who was
    authenticated: it decides, whatever name a decision was filled in with.

    Raises:
        InvalidInput: `user_id` is empty, which is neither a user nor none, or can be no id;
            `tenant` can be no name, or is left out by somebody who is no operator.
        NotAllowed: the principal belongs to another tenant.
    """

    user_id: str | None = None
    is_operator: bool = False
    component_id: str | None = None
    principal: Principal | None = None
    tenant: str | None = DEFAULT_TENANT

    def __post_init__(self) -> None:
        if self.user_id is not None:
            require_id("user_id", self.user_id)
        if self.tenant is not None:
            tenant_name("tenant", self.tenant)
        elif not self.is_operator:
            message = f"The viewer {self.user_id!r} is of no tenant: only an operator reaches all."
            raise InvalidInput(message)
        if self.principal is not None:
            self._check_tenant_of(self.principal)

    @property
    def accepting_tenant(self) -> str:
        """The tenant of the sessions that the viewer begins; whoever reaches all names one."""
        return DEFAULT_TENANT if self.tenant is None else self.tenant

    def acting_as(self, actor: object) -> "Viewer":
        """Return the viewer who reaches what a principal may decide: that of their tenant.

        Raises:
            NotAllowed: the principal belongs to another tenant than the viewer.
        """
        if not isinstance(actor, Principal):
            return self
        self._check_tenant_of(actor)
        return replace(self, tenant=actor.tenant)

    def check(
        self,
        row: OwnedT | None,
        missing: KernError,
        *,
        subject: str,
        component_id: str | None = None,
    ) -> OwnedT:
        """Return what the viewer reaches; refuse what belongs to somebody else.

        What belongs to another tenant is answered as what is not there at all.

        Args:
            row: What was found; None for nothing.
            missing: The error for what is not there.
            subject: What it is, as the beginning of a sentence.
            component_id: Whose component's it is.

        Raises:
            KernError: `missing`, if there is nothing, or it belongs to another tenant.
            NotAllowed: the owner is another one.
            InvalidInput: the component is another one.
        """
        if row is None or self.tenant not in (None, row.tenant):
            raise missing
        if not self.is_operator and self.user_id != row.user_id:
            raise NotAllowed(self._not_yours(subject))
        if self.component_id is None or component_id in (None, self.component_id):
            return row
        message = (
            f"{subject} belongs to the component {component_id!r}, not to {self.component_id!r}: "
            "use that one. A component without id= or name= gets another id whenever its "
            "declaration changes."
        )
        raise InvalidInput(message)

    def _check_tenant_of(self, principal: Principal) -> None:
        if self.tenant in (None, principal.tenant):
            return
        message = (
            f"{principal.name!r} ({principal.subject!r} of {principal.issuer!r}) belongs to the "
            f"tenant {principal.tenant!r}, and acts for {self.tenant!r}: act for the tenant of the "
            "principal."
        )
        raise NotAllowed(message)

    def _not_yours(self, subject: str) -> str:
        identity = (
            "no user_id was given"
            if self.user_id is None
            else f"user_id={self.user_id!r} was given"
        )
        return (
            f"{subject} belongs to another user: {identity}. Pass the user_id with which the "
            "session was begun."
        )


# The operator of the installation.
OPERATOR = Viewer(is_operator=True, tenant=None)


def present_operator() -> Viewer:
    """Return the operator as whom this process acts: of the tenant that it names, or of all."""
    return Viewer(is_operator=True, tenant=named_tenant())


def system_user() -> str:
    """Return the name of the user of this machine who runs the process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
