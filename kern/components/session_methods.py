"""What every component offers for its sessions; it holds none of them itself."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from kern.components.runner import Work
from kern.components.served import ServedComponent
from kern.contracts.viewer import Viewer
from kern.errors import InvalidInput
from kern.media import FileContent
from kern.run import Message
from kern.session import Session, SessionMetrics, SessionPage
from kern.session_state import StateChange, changes_of
from kern.values.validation import described, require_bools

Changes = Mapping[str, JsonValue] | Sequence[StateChange]


class SessionMethods(ServedComponent):
    """A component whose sessions can be read, changed, copied and deleted.

    Each method reaches the sessions of this component and of one owner: pass the `user_id` with
    which the session was begun, or none if it was begun without one. All raise `NotFound` where
    there is no such session, `NotAllowed` where it belongs to somebody else, and `InvalidInput`
    where it belongs to another component.
    """

    def get_session(self, session_id: str, *, user_id: str | None = None) -> Session:
        """Read a session: its name, owner, state, summary and times."""
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.read(viewer, session_id))

    async def aget_session(self, session_id: str, *, user_id: str | None = None) -> Session:
        """As `get_session`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.sessions.read(viewer, session_id))

    def get_sessions(
        self, *, user_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> SessionPage:
        """List a user's sessions with this component, the latest first.

        A session that changes while somebody turns pages moves to the front.

        Args:
            user_id: Whose sessions; none lists those that were begun without a user.
            limit: How many at most, up to 1,000.
            cursor: `SessionPage.next_cursor` of the page before.
        """
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.page(viewer, limit, cursor))

    async def aget_sessions(
        self, *, user_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> SessionPage:
        """As `get_sessions`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.sessions.page(viewer, limit, cursor))

    def get_chat_history(
        self, session_id: str, *, user_id: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """Return what the user said and what was answered, in the completed runs of a session.

        Args:
            session_id: The session.
            user_id: Its owner.
            limit: Only the latest messages, so many of them.
        """
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.chat_history(viewer, session_id, limit))

    async def aget_chat_history(
        self, session_id: str, *, user_id: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """As `get_chat_history`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(
            lambda service: service.sessions.chat_history(viewer, session_id, limit)
        )

    def get_session_messages(
        self, session_id: str, *, user_id: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """Return the messages of all runs of a session: inputs, answers, calls and their results.

        Args:
            session_id: The session.
            user_id: Its owner.
            limit: Only the latest messages, so many of them.
        """
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.messages(viewer, session_id, limit))

    async def aget_session_messages(
        self, session_id: str, *, user_id: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """As `get_session_messages`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.sessions.messages(viewer, session_id, limit))

    def get_session_state(
        self, session_id: str, *, user_id: str | None = None
    ) -> dict[str, JsonValue]:
        """Return a session's state as it stands."""
        return self.get_session(session_id, user_id=user_id).session_state

    async def aget_session_state(
        self, session_id: str, *, user_id: str | None = None
    ) -> dict[str, JsonValue]:
        """As `get_session_state`, for async callers."""
        return (await self.aget_session(session_id, user_id=user_id)).session_state

    def update_session_state(
        self, session_id: str, changes: Changes, *, user_id: str | None = None
    ) -> dict[str, JsonValue]:
        """Change a session's state, all or nothing, and return the new state.

        Runs that change it at the same time lose nothing: changes are applied one after another.

        Args:
            session_id: The session.
            changes: A dict sets its keys and leaves the others. A list of `StateChange` may also
                delete keys, increment numbers and append to lists.
            user_id: The session's owner.

        Raises:
            InvalidInput: a value is not JSON, or cannot be incremented or appended to.
        """
        operations = changes_of(changes)
        viewer = self._viewer(user_id)
        return self._do(
            lambda service: service.sessions.update_state(viewer, session_id, operations)
        )

    async def aupdate_session_state(
        self, session_id: str, changes: Changes, *, user_id: str | None = None
    ) -> dict[str, JsonValue]:
        """As `update_session_state`, for async callers."""
        operations = changes_of(changes)
        viewer = self._viewer(user_id)
        return await self._ado(
            lambda service: service.sessions.update_state(viewer, session_id, operations)
        )

    def get_session_metrics(self, session_id: str, *, user_id: str | None = None) -> SessionMetrics:
        """Return what the runs of a session used together, until now."""
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.metrics(viewer, session_id))

    async def aget_session_metrics(
        self, session_id: str, *, user_id: str | None = None
    ) -> SessionMetrics:
        """As `get_session_metrics`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.sessions.metrics(viewer, session_id))

    def get_session_summary(self, session_id: str, *, user_id: str | None = None) -> str | None:
        """Return a session's summary; None if none was made."""
        return self.get_session(session_id, user_id=user_id).summary

    async def aget_session_summary(
        self, session_id: str, *, user_id: str | None = None
    ) -> str | None:
        """As `get_session_summary`, for async callers."""
        return (await self.aget_session(session_id, user_id=user_id)).summary

    def set_session_name(
        self,
        session_id: str,
        name: str | None = None,
        *,
        autogenerate: bool = False,
        user_id: str | None = None,
    ) -> Session:
        """Give a session a name that people read.

        Args:
            session_id: The session.
            name: The name, of 200 characters at most.
            autogenerate: Have the model name it after what was said first, and wait for that; a
                worker of this component must run. A name that somebody gives it meanwhile stands.
            user_id: Its owner.

        Raises:
            InvalidInput: the name is empty or too long, or there is none and the model is not to
                make one.
            Unavailable: the model or its worker did not answer; the name is as it was.
        """
        naming = _naming(session_id, self._viewer(user_id), name, autogenerate=autogenerate)
        return self._do(naming)

    async def aset_session_name(
        self,
        session_id: str,
        name: str | None = None,
        *,
        autogenerate: bool = False,
        user_id: str | None = None,
    ) -> Session:
        """As `set_session_name`, for async callers."""
        naming = _naming(session_id, self._viewer(user_id), name, autogenerate=autogenerate)
        return await self._ado(naming)

    def get_file(self, file_id: str, *, user_id: str | None = None) -> FileContent:
        """Read an image or a file that came with a run's input; `Message.files` lists the ids.

        An image that was given by a URL has no bytes.
        """
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.file(viewer, file_id))

    async def aget_file(self, file_id: str, *, user_id: str | None = None) -> FileContent:
        """As `get_file`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.sessions.file(viewer, file_id))

    def fork_session(
        self, session_id: str, run_id: str | None = None, *, user_id: str | None = None
    ) -> str:
        """Copy a session, so that another conversation goes on from it; return the copy's id.

        The completed runs are copied with their messages and files, and the state as it is now.
        Decisions, tool calls and costs stay with the runs in which they happened.

        Args:
            session_id: The session.
            run_id: The last run to copy; default: all completed ones.
            user_id: Its owner, who owns the copy too.

        Raises:
            NotFound: there is no such run.
            InvalidInput: the run is of another session.
        """
        viewer = self._viewer(user_id)
        return self._do(lambda service: service.sessions.fork(viewer, session_id, run_id))

    async def afork_session(
        self, session_id: str, run_id: str | None = None, *, user_id: str | None = None
    ) -> str:
        """As `fork_session`, for async callers."""
        viewer = self._viewer(user_id)
        return await self._ado(lambda service: service.sessions.fork(viewer, session_id, run_id))

    def delete_session(self, session_id: str, *, user_id: str | None = None) -> None:
        """Delete a session with its runs, messages, state and files.

        Runs that wait or go on in it are cancelled. Nothing new begins in them; a tool call that is
        being executed ends, and its result is kept nowhere. What people decided stays in the log
        of decisions.
        """
        viewer = self._viewer(user_id)
        self._do(lambda service: service.sessions.delete(viewer, session_id))

    async def adelete_session(self, session_id: str, *, user_id: str | None = None) -> None:
        """As `delete_session`, for async callers."""
        viewer = self._viewer(user_id)
        await self._ado(lambda service: service.sessions.delete(viewer, session_id))


def _naming(
    session_id: str, viewer: Viewer, name: str | None, *, autogenerate: bool
) -> Work[Session]:
    require_bools(InvalidInput, autogenerate=autogenerate)
    if name is not None and not autogenerate:
        return lambda service: service.sessions.rename(viewer, session_id, name)
    if name is None and autogenerate:
        return lambda service: service.naming.name_by_model(viewer, session_id)
    message = f"name is {described(name)} and autogenerate is {autogenerate}: give one of them."
    raise InvalidInput(message)
