"""What a component needs of the client for its sessions; the other half of the seam."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import JsonValue

from kern.contracts.viewer import Viewer
from kern.media import FileContent
from kern.run import Message, RunOutput
from kern.session import Session, SessionMetrics, SessionPage
from kern.session_state import StateChange


class SessionRunner(Protocol):
    """Reads and changes sessions, each as far as the viewer may.

    Every method raises NotFound where there is no such session, NotAllowed where it belongs to
    somebody else, and InvalidInput where it belongs to another component.
    """

    async def read(self, session_id: str, viewer: Viewer) -> Session:
        """Read a session."""
        ...

    async def page(self, viewer: Viewer, limit: int, cursor: str | None) -> SessionPage:
        """List the viewer's sessions."""
        ...

    async def chat_history(
        self, session_id: str, viewer: Viewer, limit: int | None
    ) -> list[Message]:
        """Read what was asked and answered."""
        ...

    async def workflow_history(
        self, session_id: str, viewer: Viewer, limit: int
    ) -> list[RunOutput]:
        """Read the latest completed runs: inputs and what they came to."""
        ...

    async def messages(self, session_id: str, viewer: Viewer, limit: int | None) -> list[Message]:
        """Read the messages of all runs."""
        ...

    async def update_state(
        self, session_id: str, viewer: Viewer, changes: Sequence[StateChange]
    ) -> dict[str, JsonValue]:
        """Change the state, and return the new one."""
        ...

    async def metrics(self, session_id: str, viewer: Viewer) -> SessionMetrics:
        """Sum up what the runs used."""
        ...

    async def rename(self, session_id: str, viewer: Viewer, name: str) -> Session:
        """Give a session a name."""
        ...

    async def name_by_model(self, session_id: str, viewer: Viewer) -> Session:
        """Have the model give a session a name, and wait for it."""
        ...

    async def fork(self, session_id: str, viewer: Viewer, run_id: str | None) -> str:
        """Copy a session, and return the id of the copy."""
        ...

    async def file(self, file_id: str, viewer: Viewer) -> FileContent:
        """Read a file with its bytes."""
        ...

    async def delete(self, session_id: str, viewer: Viewer) -> None:
        """Cancel what goes on in a session, and delete it."""
        ...
