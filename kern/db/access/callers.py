"""Callers in the columns that sessions and links have in common."""

from datetime import datetime
from typing import Any

from kern.contracts.caller import Caller
from kern.values.principals import Principal
from kern.values.roles import Role


def caller_values(caller: Caller) -> dict[str, Any]:
    """Return what a row keeps of a caller."""
    return {
        "principal": caller.principal.model_dump(mode="json"),
        "roles": [role.value for role in caller.roles],
        "all_tenants": caller.all_tenants,
    }


def caller_of(row: Any, method: str, authenticated_at: datetime | None = None) -> Caller:  # noqa: ANN401  a row of either table
    """Return the caller that a row keeps."""
    return Caller(
        principal=Principal.model_validate(row.principal),
        roles=tuple(Role(name) for name in row.roles),
        method=method,
        all_tenants=row.all_tenants,
        authenticated_at=authenticated_at,
    )
