"""What surfaces can ask of an installation, whether it is reached by its database or over HTTP.

`Service` does it on a database, and `kern.client.remote` over HTTP: both are held to these
signatures. They raise what `Service` documents.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, Unpack

from kern.client.service.subscription_operations import OperatorSubscriptions
from kern.client.service.triage_operations import OperatorTriage
from kern.components.operations import (
    AbsenceOperations,
    EventReader,
    InboxOperations,
    RunOperations,
    Show,
)
from kern.contracts.queries import DecisionFilters
from kern.contracts.reports import (
    Acceptance,
    AuditReport,
    Decision,
    DecisionPage,
    Deletion,
    InboxCounts,
    Receipt,
    RequirementPage,
    RunReport,
    SessionReport,
)
from kern.contracts.requests import RunRequest
from kern.contracts.stuck import StuckReport
from kern.contracts.tokens import NewToken, Token
from kern.contracts.viewer import Viewer
from kern.contracts.web_sessions import WebSession
from kern.events import RunEvent
from kern.requirements import Requirement
from kern.session import Session, SessionPage
from kern.values.principals import Principal
from kern.values.roles import Role
from kern.values.states import InboxOrder, RequirementKind, Risk, RunStatus


class OperatorRuns(RunOperations, Protocol):
    """Reads, lists, cancels and retries runs."""

    async def full_id(self, viewer: Viewer, ending: str) -> str:
        """Return the id of the only run whose id ends so."""
        ...

    async def status(self, viewer: Viewer, run_id: str) -> RunStatus:
        """Read where a run stands."""
        ...

    async def report(self, viewer: Viewer, run_id: str) -> RunReport:
        """Read a run with everything that happened in it."""
        ...

    async def start(self, viewer: Viewer, request: RunRequest) -> Acceptance:
        """Accept a run of a component that a running worker has."""
        ...

    async def cancel(
        self,
        viewer: Viewer,
        run_id: str,
        *,
        by: str | Principal | None = None,
        note: str | None = None,
    ) -> Acceptance:
        """Cancel a run, and note by whom and why."""
        ...

    async def retry(
        self,
        viewer: Viewer,
        run_id: str,
        *,
        by: str | Principal | None = None,
        note: str | None = None,
    ) -> Acceptance:
        """Have a run that failed continue, and note by whom and why."""
        ...


class OperatorInbox(InboxOperations, Protocol):
    """Lists, reads and decides requirements."""

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
        for_principal: Principal | None = None,
        tool: str | None = None,
        component: str | None = None,
        risk: Risk | None = None,
        shape: str | None = None,
        due_before: datetime | None = None,
        sort: InboxOrder | Literal["created", "due", "risk"] = InboxOrder.created,
    ) -> RequirementPage:
        """List pending requirements; `PendingFilters` says what narrows them.

        The names stand here again, since what takes `PendingFilters` and more would not fit it.
        """
        ...

    async def counts(self, viewer: Viewer, principal: Principal) -> InboxCounts:
        """Count what waits."""
        ...

    async def decisions(self, viewer: Viewer, requirement_id: str) -> list[Decision]:
        """Read what was decided about a requirement, in order."""
        ...

    async def decide(
        self,
        viewer: Viewer,
        requirement: Requirement,
        by: str | Principal | None = None,
        *,
        digest: str | None = None,
        decision_id: str | None = None,
        confirm: str | None = None,
    ) -> Receipt:
        """Accept the decision that was filled in on a requirement."""
        ...


class OperatorSessions(Protocol):
    """Reads, names and deletes sessions."""

    async def full_id(self, viewer: Viewer, ending: str) -> str:
        """Return the id of the only session whose id ends so."""
        ...

    async def read(self, viewer: Viewer, session_id: str) -> Session:
        """Read a session."""
        ...

    async def page(
        self, viewer: Viewer, limit: int, cursor: str | None, user_id: str | None = None
    ) -> SessionPage:
        """List sessions, the latest first."""
        ...

    async def report(self, viewer: Viewer, session_id: str, limit: int) -> SessionReport:
        """Read a session with its metrics and its latest runs."""
        ...

    async def rename(self, viewer: Viewer, session_id: str, name: str) -> Session:
        """Give a session a name."""
        ...

    async def delete(self, viewer: Viewer, session_id: str) -> Deletion:
        """Delete a session."""
        ...


class StoredEventReader(Protocol):
    """Reads the events that are there already."""

    async def read_now(self) -> Sequence[RunEvent]:
        """Return the next events that are stored; none when all were read."""
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


class OperatorReaders(Protocol):
    """Opens readers of the events of runs."""

    async def open(self, viewer: Viewer, run_id: str, after: int, show: Show) -> EventReader:
        """Read a run's events after a number until it is idle."""
        ...

    def open_stored(self, viewer: Viewer, run_id: str, after: int) -> StoredEventReader:
        """Read the events that are stored, until none is left."""
        ...


class OperatorAudit(Protocol):
    """Verifies, exports and lists the log of decisions."""

    async def verify(
        self, viewer: Viewer, run_id: str | None = None, head: str | None = None
    ) -> AuditReport:
        """Verify that no decision was changed, removed, added or reordered."""
        ...

    def export(
        self,
        viewer: Viewer,
        run_id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        with_text: bool = False,
    ) -> AsyncGenerator[str]:
        """Yield the lines of the log, or of a part of it."""
        ...

    async def decisions(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        **filters: Unpack[DecisionFilters],
    ) -> DecisionPage:
        """List decisions, the latest first."""
        ...


class OperatorAccess(Protocol):
    """Makes, lists and revokes tokens."""

    async def make_token(
        self,
        principal: Principal,
        roles: Sequence[Role],
        *,
        label: str,
        life: timedelta,
        created_by: str,
    ) -> NewToken:
        """Make a token."""
        ...

    async def tokens(self, viewer: Viewer) -> list[Token]:
        """List tokens, the latest first."""
        ...

    async def revoke_token(self, viewer: Viewer, token_id: str, by: str) -> Token:
        """Let nobody in with a token from now on."""
        ...

    async def sessions(self, viewer: Viewer) -> list[WebSession]:
        """List who has signed in with a browser."""
        ...

    async def end_sessions(self, viewer: Viewer, subject: str, by: str) -> int:
        """End the sessions of somebody, and return how many there were."""
        ...


class StuckOperations(Protocol):
    """Says what is stuck."""

    async def read(self, viewer: Viewer) -> StuckReport:
        """Read what should be progressing and is not, and the workers."""
        ...


class FeedWatch(Protocol):
    """Says when to look for new requirements."""

    async def is_new(self) -> bool:
        """Whether more may wait than the last time; at the first, that may be.

        Raises:
            Unavailable: the feed has been away for long.
        """
        ...


class OperatorFeed(Protocol):
    """Watches what happens."""

    async def watch(self, viewer: Viewer) -> FeedWatch:
        """Watch for new requirements from now on, until the service closes."""
        ...


class OperatorService(Protocol):
    """Everything that people ask for, and nothing that waits for a run."""

    @property
    def runs(self) -> OperatorRuns:
        """Read, list, cancel and retry runs."""
        ...

    @property
    def inbox(self) -> OperatorInbox:
        """List, read and decide requirements."""
        ...

    @property
    def sessions(self) -> OperatorSessions:
        """Read, name and delete sessions."""
        ...

    @property
    def feed(self) -> OperatorFeed:
        """Watch what happens."""
        ...

    @property
    def readers(self) -> OperatorReaders:
        """Read the events of runs."""
        ...

    @property
    def audit(self) -> OperatorAudit:
        """Verify, export and list the log of decisions."""
        ...

    @property
    def subscriptions(self) -> OperatorSubscriptions:
        """Manage webhooks and channels."""
        ...

    @property
    def triage(self) -> OperatorTriage:
        """Claim, hand on, put off and comment."""
        ...

    @property
    def absences(self) -> AbsenceOperations:
        """Say that one is away, and list who is."""
        ...

    @property
    def access(self) -> OperatorAccess:
        """Make, list and revoke tokens."""
        ...

    @property
    def stuck(self) -> StuckOperations:
        """Read what is stuck."""
        ...

    async def close(self) -> None:
        """Finish what is under way."""
        ...
