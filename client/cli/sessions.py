"""Prints sessions, and renames and deletes them, for an operator."""

import typer
from pydantic import JsonValue

from kern.client.cli import prompts
from kern.client.cli.access import perform
from kern.client.cli.printing import (
    count,
    one_line,
    say,
    say_json,
    say_table,
    show_age,
    show_id,
    show_time,
    show_value,
    status_text,
    styled,
    with_tenants,
)
from kern.client.service.operations import OperatorService
from kern.contracts.reports import SessionReport
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.run import FileReference, RunOutput
from kern.session import Session, SessionMetrics

_OF_A_RUN = {"run_id", "number", "status", "input", "content", "created_at", "finished_at"}


def print_sessions(*, user: str | None, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of sessions."""
    page = perform(lambda service: service.sessions.page(present_operator(), limit, after, user))
    if as_json:
        documents = [session.model_dump(mode="json") for session in page.sessions]
        say_json({"sessions": documents, "next": page.next_cursor})
        return
    if not page.sessions:
        say("No sessions." if user is None else "No such sessions.")
        return
    headings = ("SESSION", "COMPONENT", "USER", "RUNS", "CHANGED", "NAME")
    tenants = [session.tenant for session in page.sessions]
    say_table(*with_tenants(headings, [_row(session) for session in page.sessions], tenants))
    if page.next_cursor is not None:
        shown_rows = count(len(page.sessions), "row")
        say(
            f"{shown_rows}; continue with `kern sessions list --after {page.next_cursor}` and the "
            "same filters."
        )


def print_session(session_id: str, *, limit: int, as_json: bool) -> None:
    """Print a session, what it used, and its last runs."""

    async def read(service: OperatorService) -> SessionReport:
        viewer = present_operator()
        full = await service.sessions.full_id(viewer, session_id)
        return await service.sessions.report(viewer, full, limit)

    report = perform(read)
    if as_json:
        say_json(
            {
                **report.session.model_dump(mode="json"),
                "metrics": report.metrics.model_dump(mode="json"),
                "runs": [_as_json(run, report.files.get(run.run_id, [])) for run in report.runs],
            }
        )
        return
    _say_session(report.session)
    _say_metrics(report.metrics)
    _say_runs(report)


def rename_session(session_id: str, name: str, *, as_json: bool) -> None:
    """Give a session a name."""

    async def rename(service: OperatorService) -> Session:
        viewer = present_operator()
        full = await service.sessions.full_id(viewer, session_id)
        return await service.sessions.rename(viewer, full, name)

    session = perform(rename)
    if as_json:
        say_json(session.model_dump(mode="json"))
        return
    say(f"Session {one_line(session.session_id)} is called {one_line(session.name or '')}.")


def delete_session(session_id: str, *, may_ask: bool, as_json: bool) -> None:
    """Delete a session; on a terminal, ask before.

    Raises:
        InvalidInput: nobody can be asked.
    """

    async def read(service: OperatorService) -> Session:
        viewer = present_operator()
        return await service.sessions.read(
            viewer, await service.sessions.full_id(viewer, session_id)
        )

    session = perform(read)
    full = session.session_id
    if may_ask and not prompts.can_ask():
        message = f"Session {full!r} was not deleted: off a terminal, pass --yes."
        raise InvalidInput(message)
    if may_ask and not _is_confirmed(session):
        say("Nothing was deleted.")
        return
    deletion = perform(lambda service: service.sessions.delete(present_operator(), full))
    if as_json:
        document = {"session_id": full, "deleted": True, "cancelled_runs": deletion.cancelled_runs}
        say_json({**document, "delivered": deletion.delivered})
        return
    say(f"Deleted: session {one_line(full)} with {count(session.run_count, 'run')}.")
    if not deletion.delivered:
        say("The workflows of its runs are notified when a worker runs.")


def _is_confirmed(session: Session) -> bool:
    name = f" ({one_line(session.name)})" if session.name else ""
    described = f"session {one_line(session.session_id)}{name} with"
    return typer.confirm(f"Delete {described} {count(session.run_count, 'run')} for good?")


def _row(session: Session) -> tuple[str, ...]:
    return (
        show_id(session.session_id),
        session.component_id,
        session.user_id or "-",
        str(session.run_count),
        show_age(session.updated_at),
        session.name or "-",
    )


def _say_session(session: Session) -> None:
    say(styled("Session ", "bold"), session.session_id)
    if session.name:
        say(f"  called {one_line(session.name)}")
    owner = f"of {one_line(session.user_id)}" if session.user_id else "of no user"
    tenant = f" in tenant {one_line(session.tenant)}" if session.tenant else ""
    say(f"  {owner}{tenant} with {one_line(session.component_id)}")
    say(f"  begun {show_time(session.created_at)}, changed {show_time(session.updated_at)}")
    if session.forked_from:
        say(f"  a copy of session {one_line(session.forked_from)}")
    if session.session_state:
        say(f"  state {show_value(session.session_state)}")
    if session.summary:
        say(f"  summary {one_line(session.summary)}")


def _say_metrics(used: SessionMetrics) -> None:
    say(
        f"Cost: {count(used.run_count, 'run')}, {count(used.model_calls, 'model call')}, "
        f"{count(used.tool_calls, 'tool call')}, {count(used.total_tokens, 'token')}; "
        f"{used.working_seconds:,.1f} s working, {used.waiting_seconds:,.1f} s waiting for people"
    )


def _as_json(run: RunOutput, files: list[FileReference]) -> dict[str, JsonValue]:
    document = run.model_dump(mode="json", include=_OF_A_RUN)
    return {**document, "files": [file.model_dump(mode="json") for file in files]}


def _say_runs(report: SessionReport) -> None:
    session, runs = report.session, report.runs
    if not runs:
        return
    say("")
    headings = ("NUMBER", "RUN", "STATUS", "AGE", "INPUT")
    say_table(headings, [_run_row(run, report.files.get(run.run_id, [])) for run in runs])
    if session.run_count > len(runs):
        say(f"{len(runs)} of {count(session.run_count, 'run')}; more with --limit.")


def _run_row(run: RunOutput, files: list[FileReference]) -> tuple[str, ...]:
    age = show_age(run.created_at)
    text = " ".join([run.input, *(f"[{file.name}]" for file in files)]).strip()
    return str(run.number), show_id(run.run_id), status_text(run), age, text
