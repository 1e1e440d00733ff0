"""What a component needs of the service: each operation is declared here and implemented there.

`kern.client.service` implements these protocols. Components cannot import it, since it rests on
them; `kern.components.runner` reaches it. Every operation takes first who asks, and raises NotFound
where there is no such run or session, and NotAllowed where it belongs to somebody else.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from pydantic import JsonValue

from kern.components.component import Component
from kern.contracts.reports import Receipt, RequirementPage, RunPage
from kern.contracts.requests import RunRequest
from kern.contracts.triage import Absence, AbsencePage
from kern.contracts.viewer import Viewer
from kern.events import RunEvent
from kern.media import FileContent
from kern.requirements import Principal, Requirement
from kern.run import Message, RunOutput, StepExecution
from kern.session import Session, SessionMetrics, SessionPage
from kern.session_state import StateChange
from kern.values.states import RequirementKind, RunStatus

# What a reader is shown: text and the stop, or every event.
Show = Literal["content", "everything"]


class EventReader(Protocol):
    """Reads a run's events."""

    async def read(self) -> Sequence[RunEvent]:
        """Wait for the next events; none when the run is idle and all were read."""
        ...

    def close(self) -> None:
        """Stop reading, which the run does not notice; may be called from any thread."""
        ...


class InteractionOperations(Protocol):
    """Runs a component, and waits for its stops or reads meanwhile."""

    async def run(
        self, viewer: Viewer, component: Component, request: RunRequest, *, background: bool
    ) -> RunOutput:
        """Accept a run, and wait for its first stop unless in the background."""
        ...

    async def continue_run(
        self,
        viewer: Viewer,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
    ) -> RunOutput:
        """Submit what was filled in, all of it or nothing, and wait for the next stop."""
        ...

    async def retry(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Have a run that failed continue, and wait for its next stop."""
        ...

    async def cancel(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Cancel a run, and read it; it is stored when this returns."""
        ...

    async def stream(
        self, viewer: Viewer, component: Component, request: RunRequest, show: Show
    ) -> EventReader:
        """Accept a run, and read its events until it is idle."""
        ...

    async def stream_continued(
        self,
        viewer: Viewer,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
        show: Show,
    ) -> EventReader:
        """Submit what was filled in, and read what follows until the run is idle."""
        ...


class RunOperations(Protocol):
    """Reads and lists runs."""

    async def page(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        status: RunStatus | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
    ) -> RunPage:
        """List runs, the latest first, without child runs."""
        ...

    async def read(self, viewer: Viewer, run_id: str) -> RunOutput:
        """Read a run."""
        ...

    async def steps(
        self, viewer: Viewer, run_id: str, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a workflow's run has opened."""
        ...


class ReaderOperations(Protocol):
    """Opens readers of runs."""

    async def open(self, viewer: Viewer, run_id: str, after: int, show: Show) -> EventReader:
        """Read a run's events after a number until it is idle."""
        ...


class SessionOperations(Protocol):
    """Reads and changes sessions.

    Raises InvalidInput where a session belongs to another component than the viewer names.
    """

    async def read(self, viewer: Viewer, session_id: str) -> Session:
        """Read a session."""
        ...

    async def page(self, viewer: Viewer, limit: int, cursor: str | None) -> SessionPage:
        """List the viewer's sessions."""
        ...

    async def chat_history(
        self, viewer: Viewer, session_id: str, limit: int | None
    ) -> list[Message]:
        """Read the inputs and answers of the completed runs."""
        ...

    async def workflow_history(
        self, viewer: Viewer, session_id: str, limit: int
    ) -> list[RunOutput]:
        """Read the latest completed runs: their inputs and outputs."""
        ...

    async def messages(self, viewer: Viewer, session_id: str, limit: int | None) -> list[Message]:
        """Read the messages of all runs."""
        ...

    async def update_state(
        self, viewer: Viewer, session_id: str, changes: Sequence[StateChange]
    ) -> dict[str, JsonValue]:
        """Change the state, and return the new one."""
        ...

    async def metrics(self, viewer: Viewer, session_id: str) -> SessionMetrics:
        """Sum up what the runs used."""
        ...

    async def rename(self, viewer: Viewer, session_id: str, name: str) -> Session:
        """Give a session a name."""
        ...

    async def fork(self, viewer: Viewer, session_id: str, run_id: str | None) -> str:
        """Copy a session, and return the id of the copy."""
        ...

    async def file(self, viewer: Viewer, file_id: str) -> FileContent:
        """Read a file with its bytes."""
        ...

    async def delete(self, viewer: Viewer, session_id: str) -> object:
        """Cancel what is active in a session, and delete it."""
        ...


class NamingOperations(Protocol):
    """Has models name sessions."""

    async def name_by_model(self, viewer: Viewer, session_id: str) -> Session:
        """Have the model give a session a name, and wait for it."""
        ...


class InboxOperations(Protocol):
    """Lists and reads requirements, and accepts decisions."""

    async def pending(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        user_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        kind: RequirementKind | None = None,
    ) -> RequirementPage:
        """List pending requirements, the oldest first."""
        ...

    async def read(self, viewer: Viewer, requirement_id: str) -> Requirement:
        """Read a requirement, pending or not."""
        ...

    async def decide(
        self,
        viewer: Viewer,
        requirement: Requirement,
        by: str | Principal | None = None,
        *,
        digest: str | None = None,
        confirm: str | None = None,
    ) -> Receipt:
        """Accept the decision that was filled in, and wait for nothing else."""
        ...


class AbsenceOperations(Protocol):
    """Says who is away."""

    async def begin(
        self,
        viewer: Viewer,
        until: datetime,
        by: str | Principal | None = None,
        *,
        since: datetime | None = None,
        note: str | None = None,
    ) -> Absence:
        """Say that one is away until then."""
        ...

    async def end(self, viewer: Viewer, by: str | Principal | None = None) -> bool:
        """Say that one is back, and return whether one was away."""
        ...

    async def page(self, viewer: Viewer, *, limit: int, cursor: str | None = None) -> AbsencePage:
        """List who is away now."""
        ...


class OperatorOperations(Protocol):
    """The part of the service that waits for no run, as `kern.inbox` sees it."""

    @property
    def runs(self) -> RunOperations:
        """Read and list runs."""
        ...

    @property
    def inbox(self) -> InboxOperations:
        """Read and decide requirements."""
        ...

    @property
    def absences(self) -> AbsenceOperations:
        """Say who is away."""
        ...


class Operations(OperatorOperations, Protocol):
    """The whole service, as components see it."""

    @property
    def interaction(self) -> InteractionOperations:
        """Run and wait."""
        ...

    @property
    def readers(self) -> ReaderOperations:
        """Read events."""
        ...

    @property
    def sessions(self) -> SessionOperations:
        """Read and change sessions."""
        ...

    @property
    def naming(self) -> NamingOperations:
        """Name sessions."""
        ...
