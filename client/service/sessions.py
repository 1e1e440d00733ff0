"""Sessions: read, list, rename, change, copy and delete them, and read their files."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue
from sqlmodel import Session as Transaction

from kern.client.service.acceptance import deleting_session, deliver
from kern.client.service.ports import Deliverer
from kern.contracts.reports import Deletion, SessionReport
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.reading import files, listings, session_metrics, workflow_history
from kern.db.reading.sessions import find_session
from kern.db.sessions import deletions, forks, records
from kern.media import FileContent
from kern.run import Message, RunOutput
from kern.session import Session, SessionMetrics, SessionPage
from kern.session_state import StateChange
from kern.values.ids import new_id


class Sessions:
    """Reads and changes the sessions of one store, each as far as the viewer may.

    Every method raises NotFound where there is no such session, NotAllowed where it belongs to
    somebody else, and InvalidInput where it belongs to another component than the viewer names.
    """

    def __init__(self, store: Store, deliverer: Deliverer) -> None:
        self._store = store
        self._deliverer = deliverer

    async def read(self, viewer: Viewer, session_id: str) -> Session:
        """Read a session."""
        return await self._store.read(lambda tx: records.read(tx, session_id, viewer))

    async def page(
        self,
        viewer: Viewer,
        limit: int,
        cursor: str | None,
        user_id: str | None = None,
        *,
        search: str | None = None,
    ) -> SessionPage:
        """List the viewer's sessions, the latest first; an operator may ask for one user's.

        `search` is a text in the name, the user, the component or the id; the latest 10,000 are
        searched.
        """
        return await self._store.read(
            lambda tx: records.page(
                tx, viewer, limit=limit, cursor=cursor, user_id=user_id, search=search
            )
        )

    async def report(self, viewer: Viewer, session_id: str, limit: int) -> SessionReport:
        """Read a session with its metrics and its latest runs, `limit` at most."""
        now = datetime.now(UTC)

        def read(tx: Transaction) -> SessionReport:
            session = records.read(tx, session_id, viewer)
            runs = records.latest_runs(tx, session_id, limit)
            return SessionReport(
                session=session,
                metrics=session_metrics.metrics(tx, session_id, viewer, now),
                runs=runs,
                files=files.of_runs(tx, [run.run_id for run in runs]),
            )

        return await self._store.read(read)

    async def chat_history(
        self, viewer: Viewer, session_id: str, limit: int | None
    ) -> list[Message]:
        """Read the inputs and answers of the completed runs."""
        return await self._store.read(
            lambda tx: records.chat_history(tx, session_id, viewer, limit)
        )

    async def workflow_history(
        self, viewer: Viewer, session_id: str, limit: int
    ) -> list[RunOutput]:
        """Read the latest completed runs: their inputs and outputs."""
        return await self._store.read(
            lambda tx: workflow_history.history_of(tx, session_id, viewer, limit)
        )

    async def messages(self, viewer: Viewer, session_id: str, limit: int | None) -> list[Message]:
        """Read the messages of all runs."""
        return await self._store.read(lambda tx: records.messages(tx, session_id, viewer, limit))

    async def update_state(
        self, viewer: Viewer, session_id: str, changes: Sequence[StateChange]
    ) -> dict[str, JsonValue]:
        """Change the state, and return the new one."""
        now, update_id = datetime.now(UTC), new_id()
        return await self._store.write(
            lambda tx: records.update_state(
                tx, session_id, viewer, changes, now, update_id=update_id
            )
        )

    async def metrics(self, viewer: Viewer, session_id: str) -> SessionMetrics:
        """Sum up what the runs used."""
        now = datetime.now(UTC)
        return await self._store.read(
            lambda tx: session_metrics.metrics(tx, session_id, viewer, now)
        )

    async def rename(self, viewer: Viewer, session_id: str, name: str) -> Session:
        """Give a session a name."""
        now = datetime.now(UTC)
        return await self._store.write(lambda tx: records.rename(tx, session_id, viewer, name, now))

    async def fork(self, viewer: Viewer, session_id: str, run_id: str | None) -> str:
        """Copy a session, and return the id of the copy."""
        now, fork_id = datetime.now(UTC), new_id()
        return await self._store.write(
            lambda tx: forks.fork(tx, session_id, viewer, now, fork_id=fork_id, run_id=run_id)
        )

    async def file(self, viewer: Viewer, file_id: str) -> FileContent:
        """Read a file with its bytes."""
        return await self._store.read(lambda tx: files.read(tx, file_id, viewer))

    async def delete(self, viewer: Viewer, session_id: str) -> Deletion:
        """Delete a session: it is gone when this returns; what executes in it is stopped then."""
        now, deletion_id = datetime.now(UTC), new_id()
        with deleting_session(session_id):
            deliveries = await self._store.write(
                lambda tx: deletions.delete(tx, session_id, viewer, now, deletion_id=deletion_id)
            )
        delivered = await asyncio.gather(
            *(deliver(self._deliverer, delivery) for delivery in deliveries)
        )
        return Deletion(cancelled_runs=len(deliveries), delivered=all(delivered))

    async def full_id(self, viewer: Viewer, ending: str) -> str:
        """Return the id of the only session whose id ends so. Raises InvalidInput if several do."""

        def read(tx: Transaction) -> str:
            full = listings.full_session_id(tx, viewer, ending)
            return find_session(tx, full, viewer).id

        return await self._store.read(read)
