"""What the API shows of sessions: stable names for programs."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, JsonValue

from kern.client.api.run_resources import RunResource
from kern.contracts.reports import SessionReport
from kern.run import FileReference
from kern.session import Session, SessionMetrics


class SessionResource(BaseModel):
    """A conversation.

    Attributes:
        state: Its state, which its runs and programs change.
        run_count: How many runs were begun in it.
        forked_from: The session of which it began as a copy.
    """

    id: str
    user: str | None
    tenant: str
    component: str
    name: str | None
    state: dict[str, JsonValue]
    summary: str | None
    run_count: int
    forked_from: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, item: Session) -> Self:
        """Return a session as the API shows it."""
        return cls(
            id=item.session_id,
            user=item.user_id,
            tenant=item.tenant,
            component=item.component_id,
            name=item.name,
            state=item.session_state,
            summary=item.summary,
            run_count=item.run_count,
            forked_from=item.forked_from,
            created_at=item.created_at,
            updated_at=item.updated_at,
        )

    def session(self) -> Session:
        """Return the session that is shown."""
        return Session(
            session_id=self.id,
            user_id=self.user,
            tenant=self.tenant,
            component_id=self.component,
            name=self.name,
            session_state=self.state,
            summary=self.summary,
            run_count=self.run_count,
            forked_from=self.forked_from,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class SessionReportResource(BaseModel):
    """A conversation with what it used, and its latest runs.

    Attributes:
        runs: The latest first.
        files: The files that came with each run's input, by the run's id.
    """

    session: SessionResource
    metrics: SessionMetrics
    runs: list[RunResource]
    files: dict[str, list[FileReference]]

    @classmethod
    def of(cls, item: SessionReport) -> Self:
        """Return a session's report as the API shows it."""
        return cls(
            session=SessionResource.of(item.session),
            metrics=item.metrics,
            runs=[RunResource.of(run) for run in item.runs],
            files=item.files,
        )

    def report(self) -> SessionReport:
        """Return the report that is shown."""
        return SessionReport(
            session=self.session.session(),
            metrics=self.metrics,
            runs=[item.run() for item in self.runs],
            files=self.files,
        )
