"""The signatures of triage, which the service and the HTTP client both have."""

from datetime import datetime
from typing import Protocol

from kern.contracts.triage import Comment, Snooze
from kern.contracts.viewer import Viewer
from kern.requirements import Principal, Requirement


class OperatorTriage(Protocol):
    """Claims, hands on, puts off and comments on what waits."""

    async def claim(
        self,
        viewer: Viewer,
        requirement_id: str,
        by: str | Principal | None = None,
        *,
        minutes: int,
    ) -> Requirement:
        """Take care of a requirement for some minutes."""
        ...

    async def release(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None = None
    ) -> Requirement:
        """End one's own claim."""
        ...

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
        ...

    async def snooze(
        self,
        viewer: Viewer,
        requirement_id: str,
        until: datetime,
        by: str | Principal | None = None,
    ) -> Snooze:
        """Put a requirement off."""
        ...

    async def wake(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None = None
    ) -> Requirement:
        """Have a requirement back that was put off."""
        ...

    async def comment(
        self,
        viewer: Viewer,
        requirement_id: str,
        text: str,
        by: str | Principal | None = None,
    ) -> Comment:
        """Write something about a requirement."""
        ...
