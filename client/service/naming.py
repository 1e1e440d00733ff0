"""Has the model of a component name a session."""

from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from kern.client.service.sessions import Sessions
from kern.client.temporal.connection import queue_of
from kern.contracts.viewer import Viewer
from kern.db.sessions import naming
from kern.errors import InvalidInput, NotFound, Unavailable
from kern.session import Session
from kern.values.canonical import digest

_NAMED_WITHIN = timedelta(seconds=60)


class SessionNaming:
    """Asks models for names, through the workers of their components."""

    def __init__(self, sessions: Sessions, temporal: Client) -> None:
        self._sessions = sessions
        self._temporal = temporal

    async def name_by_model(self, viewer: Viewer, session_id: str) -> Session:
        """Have the model give a session a name, and wait for it.

        A name that somebody gives it meanwhile stands.

        Raises:
            InvalidInput: the session has no runs yet.
            NotFound: the session was deleted meanwhile.
            Unavailable: Temporal, the worker or the model did not answer.
        """
        session = await self._sessions.read(viewer, session_id)
        if not session.run_count:
            message = (
                f"Session {session_id!r} has no runs after which the model could name it: give a "
                "name."
            )
            raise InvalidInput(message)
        # Callers who ask for the same name at once wait for the same workflow.
        key = digest([session_id, session.created_at.isoformat(), session.name])
        try:
            await self._temporal.execute_workflow(
                "NameSession",
                naming.name_request(session),
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
        renamed = await self._sessions.read(viewer, session_id)
        if renamed.created_at != session.created_at:
            message = f"Session {session_id!r} was deleted while the model gave it a name."
            raise NotFound(message)
        return renamed
