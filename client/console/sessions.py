"""Sessions: the list, and one conversation as its people saw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kern.client.console.addresses import session_url
from kern.client.console.problems import Problem
from kern.client.console.run_story import Scene, story_of
from kern.client.console.runs import RunRow, run_row
from kern.contracts.reports import RunReport, SessionReport
from kern.requirements import Requirement
from kern.session import Session


@dataclass(frozen=True)
class SessionRow:
    """A session in the list."""

    url: str
    name: str
    about: str
    updated_at: datetime
    is_current: bool = False


@dataclass(frozen=True)
class SessionView:
    """One session: its earlier runs, the latest conversation, its state and usage."""

    session: Session
    url: str
    name: str
    earlier: list[RunRow]
    scenes: list[Scene]
    open: list[Requirement]
    tokens: int
    runs: int
    working: timedelta
    waiting: timedelta


@dataclass(frozen=True)
class SessionsView:
    """What the page of sessions shows: the list, and beside it one session."""

    rows: list[SessionRow]
    session: SessionView | None = None
    query: str = ""
    next_url: str | None = None
    problem: Problem | None = None


def sessions_view(
    sessions: Sequence[Session],
    session: SessionView | None = None,
    *,
    query: str = "",
    next_url: str | None = None,
    problem: Problem | None = None,
) -> SessionsView:
    """Return what the page of sessions shows."""
    current = None if session is None else session.session.session_id
    rows = [
        SessionRow(
            url=session_url(item.session_id),
            name=session_name(item),
            about=f"{item.component_id}, {_runs(item.run_count)}",
            updated_at=item.updated_at,
            is_current=item.session_id == current,
        )
        for item in sessions
    ]
    return SessionsView(rows, session, query, next_url, problem)


def session_view(report: SessionReport, latest: RunReport | None = None) -> SessionView:
    """Return one session.

    Args:
        report: The session with its metrics and its latest runs.
        latest: The report of the run whose conversation stands on the page.
    """
    shown_id = None if latest is None else latest.run.run_id
    earlier = [run_row(run) for run in reversed(report.runs) if run.run_id != shown_id]
    return SessionView(
        session=report.session,
        url=session_url(report.session.session_id),
        name=session_name(report.session),
        earlier=earlier,
        scenes=[] if latest is None else story_of(latest),
        open=[] if latest is None else latest.run.active_requirements,
        tokens=report.metrics.total_tokens,
        runs=report.session.run_count,
        working=timedelta(seconds=report.metrics.working_seconds),
        waiting=timedelta(seconds=report.metrics.waiting_seconds),
    )


def session_name(session: Session) -> str:
    """Return a session's name, or that it has none."""
    return session.name or f"Unnamed, {session.session_id[-8:]}"


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count:,} runs"
