"""Roles: what somebody who has come in may do."""

from collections.abc import Iterable
from enum import StrEnum

from kern.errors import InvalidInput


class Role(StrEnum):
    """What somebody may do in their tenant.

    `viewer` reads what waits, runs and sessions. `operator` also decides, starts, cancels and
    retries. `auditor` reads like a viewer, and the log of decisions. `administrator` may do all of
    it, delete sessions, and make and revoke tokens.
    """

    viewer = "viewer"
    operator = "operator"
    auditor = "auditor"
    administrator = "administrator"


class Right(StrEnum):
    """Something that a role allows."""

    read = "read"
    operate = "operate"
    audit = "audit"
    administer = "administer"


_RIGHTS = {
    Role.viewer: {Right.read},
    Role.operator: {Right.read, Right.operate},
    Role.auditor: {Right.read, Right.audit},
    Role.administrator: set(Right),
}


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """Return everything that one of the roles allows."""
    return frozenset(right for role in roles for right in _RIGHTS[role])


def role_names(names: Iterable[str]) -> tuple[Role, ...]:
    """Return the roles of these names, each once.

    Raises:
        InvalidInput: there is none, or one is no role.
    """
    roles_by_name = {role.value: role for role in Role}
    wrong = [name for name in names if name not in roles_by_name]
    roles = tuple(dict.fromkeys(roles_by_name[name] for name in names if name in roles_by_name))
    if wrong or not roles:
        problem = f"{wrong[0]!r} is no role" if wrong else "No role was named"
        message = f"{problem}: use one of {', '.join(roles_by_name)}."
        raise InvalidInput(message)
    return roles
