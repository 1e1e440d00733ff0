"""Sessions from outside: read, list, name, change, copy and delete them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from kern.client.temporal.connection import queue_of
from kern.client.temporal.courier import Courier
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.reading import files, session_metrics, workflow_history
from kern.db.sessions import deletions, forks, naming, records
from kern.errors import InvalidInput, NotFound, Unavailable
from kern.media import FileContent
from kern.run import Message, RunOutput
from kern.session import Session, SessionMetrics, SessionPage
from kern.session_state import StateChange
from kern.values.canonical import digest
from kern.values.ids import new_id

_NAMED_WITHIN = timedelta(seconds=60)


class Sessions:
    """Everything that talks to sessions from outside, for one database and one Temporal."""

    def __init__(self, db: Store, temporal: Client, courier: Courier) -> None:
        self._db = db
        self._temporal = temporal
        self._courier = courier

    async def read(self, session_id: str, viewer: Viewer) -> Session:
        """Read a session."""
        return await self._db.read(lambda tx: records.read(tx, session_id, viewer))

    async def page(self, viewer: Viewer, limit: int, cursor: str | None) -> SessionPage:
        """List the viewer's sessions."""
        return await self._db.read(lambda tx: records.page(tx, viewer, limit=limit, cursor=cursor))

    async def chat_history(
        self, session_id: str, viewer: Viewer, limit: int | None
    ) -> list[Message]:
        """Read what was asked and answered."""
        return await self._db.read(lambda tx: records.chat_history(tx, session_id, viewer, limit))

    async def workflow_history(
        self, session_id: str, viewer: Viewer, limit: int
    ) -> list[RunOutput]:
        """Read the latest completed runs: inputs and what they came to."""
        return await self._db.read(
            lambda tx: workflow_history.history_of(tx, session_id, viewer, limit)
        )

    async def messages(self, session_id: str, viewer: Viewer, limit: int | None) -> list[Message]:
        """Read the messages of all runs."""
        return await self._db.read(lambda tx: records.messages(tx, session_id, viewer, limit))

    async def update_state(
        self, session_id: str, viewer: Viewer, changes: Sequence[StateChange]
    ) -> dict[str, JsonValue]:
        """Change the state, and return the new one."""
        now, update_id = datetime.now(UTC), new_id()
        return await self._db.write(
            lambda tx: records.update_state(
                tx, session_id, viewer, changes, now, update_id=update_id
            )
        )

    async def metrics(self, session_id: str, viewer: Viewer) -> SessionMetrics:
        """Sum up what the runs used."""
        now = datetime.now(UTC)
        return await self._db.read(lambda tx: session_metrics.metrics(tx, session_id, viewer, now))

    async def rename(self, session_id: str, viewer: Viewer, name: str) -> Session:
        """Give a session a name."""
        now = datetime.now(UTC)
        return await self._db.write(lambda tx: records.rename(tx, session_id, viewer, name, now))

    async def name_by_model(self, session_id: str, viewer: Viewer) -> Session:
        """Have the model give a session a name, and wait for it.

        A name that somebody gives it meanwhile stands.

        Raises:
            InvalidInput: nothing was said in it yet.
            NotFound: the session was deleted meanwhile.
            Unavailable: Temporal, the worker or the model did not answer.
        """
        session = await self.read(session_id, viewer)
        if not session.run_count:
            message = (
                f"Session {session_id!r} has no runs after which the model could name it: give a "
                "name."
            )
            raise InvalidInput(message)
        ask = naming.asked(session)
        # Whoever asks twice for the same waits for the same.
        key = digest([session_id, session.created_at.isoformat(), session.name])
        try:
            await self._temporal.execute_workflow(
                "NameSession",
                ask,
                id=f"kern:name:{key}",
                task_queue=queue_of(session.component_id),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=_NAMED_WITHIN,
            )
        except (WorkflowFailureError, RPCError, RuntimeError) as error:
            message = (
                f"Session {session_id!r} was not named: the model of {session.component_id!r} "
                "refused, failed, or did not answer within "
                f"{_NAMED_WITHIN.total_seconds():g} seconds. See that a worker of it runs and what "
                "it logs, or give a name."
            )
            raise Unavailable(message) from error
        named = await self.read(session_id, viewer)
        if named.created_at != session.created_at:
            message = f"Session {session_id!r} was deleted while the model gave it a name."
            raise NotFound(message)
        return named

    async def fork(self, session_id: str, viewer: Viewer, run_id: str | None) -> str:
        """Copy a session, and return the id of the copy."""
        now, fork_id = datetime.now(UTC), new_id()
        return await self._db.write(
            lambda tx: forks.fork(tx, session_id, viewer, now, fork_id=fork_id, run_id=run_id)
        )

    async def file(self, file_id: str, viewer: Viewer) -> FileContent:
        """Read a file with its bytes."""
        return await self._db.read(lambda tx: files.read(tx, file_id, viewer))

    async def delete(self, session_id: str, viewer: Viewer) -> None:
        """Delete a session: it is gone when this returns, and what executes in it is told then."""
        now = datetime.now(UTC)
        deliveries = await self._db.write(lambda tx: deletions.delete(tx, session_id, viewer, now))
        await asyncio.gather(*(self._courier.tell_at_once(one) for one in deliveries))
