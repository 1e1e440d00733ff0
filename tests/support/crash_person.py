"""The person whom a run waits for: decides, says truthfully what became of calls, and remembers."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlmodel import Session, col, select

from kern.client.processes.services import Services
from kern.contracts.viewer import OPERATOR
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.tables import EventRow
from kern.db.reading.requirement_outputs import requirement_of
from kern.errors import AlreadyResolved, StillRunning
from kern.requirements import Requirement
from tests.support.crash_app import read

# Nobody decides about these: their deadline does.
LEFT_ALONE = {"late", "silent"}


class Person:
    """Someone who decides about one run, and knows what was acknowledged."""

    def __init__(
        self, services: Services, ledger: Path, verdict: Literal["approve", "reject"]
    ) -> None:
        self.acknowledged: list[tuple[str, str, str]] = []
        self._services, self._ledger, self._verdict = services, ledger, verdict

    async def decide(self, row: RequirementRow) -> None:
        """Decide, unless it is a matter of deadlines."""
        if row.kind == "unknown_outcome":
            await self._say_what_happened(await self._see(row))
        elif row.tool_name not in LEFT_ALONE:
            seen = await self._see(row)
            await self.submit(
                seen.confirm(by="dana") if self._verdict == "approve" else seen.reject(by="dana")
            )

    async def began(self, row: RequirementRow) -> datetime:
        """Look up when the attempt began that the question is about."""
        return await self._services.db.read(lambda tx: _last_start(tx, row))

    async def submit(self, filled: Requirement) -> None:
        """Submit a decision; one that is there already counts if it is this very one."""
        assert filled.draft is not None
        said = (filled.id, filled.draft.verdict.value, str(filled.draft.by or ""))
        try:
            await self._services.service.inbox.decide(OPERATOR, filled)
        except AlreadyResolved:
            # An answer that a death of the database swallowed, or an attempt that told by itself.
            if not await self._services.db.read(lambda tx: _is_mine(tx, *said)):
                return
        if said not in self.acknowledged:
            self.acknowledged.append(said)

    async def _say_what_happened(self, seen: Requirement) -> None:
        lines = read(self._ledger)
        key = "" if seen.attempt is None else seen.attempt.idempotency_key
        if any(line.key == key for line in lines):
            # A step passes on what it was given.
            result = seen.arguments.get("input", f"{seen.tool_name} happened")
            await self.submit(seen.mark_happened(result, by="erin"))
        else:
            # The attempt may be alive, and ends by itself then.
            with suppress(StillRunning):
                await self.submit(seen.run_again(by="erin"))

    async def _see(self, row: RequirementRow) -> Requirement:
        return await self._services.db.read(lambda tx: requirement_of(tx, row))


def _is_mine(tx: Session, requirement_id: str, verdict: str, by: str) -> bool:
    row = tx.get_one(RequirementRow, requirement_id)
    return (row.verdict, row.resolved_by) == (verdict, by)


def _last_start(tx: Session, row: RequirementRow) -> datetime:
    query = select(EventRow).where(
        EventRow.run_id == row.run_id,
        col(EventRow.kind).in_(["tool_call_started", "tool_call_repeated"]),
    )
    starts = [
        event.created_at
        for event in tx.exec(query)
        if event.data.get("tool_call_id") == row.tool_call_id
    ]
    return max(starts)
