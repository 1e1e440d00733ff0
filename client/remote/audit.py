"""The log of decisions over HTTP: list, verify, export."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Unpack

import httpx2

from kern.client.api.pages import Page
from kern.client.api.resources import DecisionResource, Verification
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.client.remote.pages import collect
from kern.contracts.queries import DecisionFilters
from kern.contracts.reports import AuditReport, DecisionPage
from kern.contracts.viewer import Viewer
from kern.errors import AuditBroken

# How the API calls what the service calls otherwise.
_PARAMETERS = {"since": "from", "until": "to"}


class RemoteAudit:
    """Lists, verifies and exports the log of decisions. Each method raises as that of `Audit`."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def verify(
        self, viewer: Viewer, run_id: str | None = None, head: str | None = None
    ) -> AuditReport:
        """Verify that no decision was changed, removed, added or reordered."""
        await self._identity.check_tenant(viewer)
        verification = await self._connection.post(
            Verification, "audit", "verifications", body={"run": run_id, "head": head}, again=True
        )
        if verification.report is None:
            raise AuditBroken(verification.broken or "The log of decisions does not verify.")
        return verification.report

    async def export(
        self,
        viewer: Viewer,
        run_id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        with_text: bool = False,
    ) -> AsyncGenerator[str]:
        """Yield the lines of the log, or of a part of it, while they come.

        Raises:
            Unavailable: the answer broke off.
        """
        await self._identity.check_tenant(viewer)
        parameters = {"run": run_id, "from": since, "to": until, "text": with_text}
        answer = self._connection.stream(
            "audit", "export", parameters=parameters, accept="application/jsonl"
        )
        async with answer as response:
            try:
                async for line in response.aiter_lines():
                    yield line
            except httpx2.TransportError as error:
                raise self._connection.interrupted(error) from None

    async def decisions(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        **filters: Unpack[DecisionFilters],
    ) -> DecisionPage:
        """List decisions, the latest first."""
        await self._identity.check_tenant(viewer)
        query = {_PARAMETERS.get(name, name): value for name, value in filters.items()}

        async def read(count: int, before: str | None) -> Page[DecisionResource]:
            parameters = {**query, "limit": count, "before": before}
            return await self._connection.get(
                Page[DecisionResource], "decisions", parameters=parameters
            )

        page = await collect(read, limit, cursor)
        decisions = [item.decision() for item in page.items]
        return DecisionPage(decisions=decisions, next_cursor=page.next)
