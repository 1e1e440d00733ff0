"""What should be progressing and is not."""

from datetime import datetime

from kern.contracts.stuck import StuckReport, WorkerStatus
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.runs.stuck_work import stuck_work
from kern.db.runs.workers import known_workers
from kern.process.clock import utc_now


class Stuck:
    """Says what is stuck in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, viewer: Viewer) -> StuckReport:
        """Read what of the viewer's should be progressing and is not, and the workers.

        The workers are those of the installation: they execute the runs of all tenants.
        """
        now = utc_now()
        return await self._store.read(lambda tx: stuck_work(tx, viewer, now))

    async def workers(self, now: datetime) -> list[WorkerStatus]:
        """Read the workers of the installation, those that were lost among them."""
        return await self._store.read(lambda tx: known_workers(tx, now))
