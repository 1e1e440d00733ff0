"""Prints sessions, and renames and deletes them, for an operator."""

from datetime import UTC, datetime

import typer
from pydantic import JsonValue

from kern.client.cli import prompts, store
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
    styled,
    where_it_stands,
)
from kern.client.service import operator
from kern.contracts.viewer import OPERATOR
from kern.db.engine.store import Store
from kern.db.reading import files, listings, session_metrics
from kern.db.sessions import records
from kern.errors import InvalidInput
from kern.process.settings import read_settings
from kern.run import FileReference, RunOutput
from kern.session import Session, SessionMetrics

_OF_A_RUN = {"run_id", "number", "status", "input", "content", "created_at", "finished_at"}


def print_sessions(*, user: str | None, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of sessions."""
    with store.existing_database(read_settings()) as db:
        page = db.read_now(
            lambda tx: records.page(tx, OPERATOR, limit=limit, cursor=after, user_id=user)
        )
    if as_json:
        found = [one.model_dump(mode="json") for one in page.sessions]
        say_json({"sessions": found, "next": page.next_cursor})
        return
    if not page.sessions:
        say("No sessions." if user is None else "No such sessions.")
        return
    headings = ("SESSION", "COMPONENT", "USER", "RUNS", "CHANGED", "NAME")
    say_table(headings, [_row(one) for one in page.sessions])
    if page.next_cursor is not None:
        shown = count(len(page.sessions), "row")
        say(
            f"{shown}; go on with `kern sessions list --after {page.next_cursor}` and the same "
            "filters."
        )


def print_session(given: str, *, limit: int, as_json: bool) -> None:
    """Print a session, what it used, and its last runs."""
    now = datetime.now(UTC)
    with store.existing_database(read_settings()) as db:
        full = _full_id(db, given)
        session = db.read_now(lambda tx: records.read(tx, full, OPERATOR))
        used = db.read_now(lambda tx: session_metrics.metrics(tx, full, OPERATOR, now))
        runs = db.read_now(lambda tx: records.latest_runs(tx, full, limit))
        came = db.read_now(lambda tx: files.of_runs(tx, [run.run_id for run in runs]))
    if as_json:
        say_json(
            {
                **session.model_dump(mode="json"),
                "metrics": used.model_dump(mode="json"),
                "runs": [_told(run, came.get(run.run_id, [])) for run in runs],
            }
        )
        return
    _say_session(session)
    _say_metrics(used)
    _say_runs(session, runs, came)


def rename_session(given: str, name: str, *, as_json: bool) -> None:
    """Give a session a name."""
    now = datetime.now(UTC)
    with store.existing_database(read_settings()) as db:
        full = _full_id(db, given)
        session = db.write_now(lambda tx: records.rename(tx, full, OPERATOR, name, now))
    if as_json:
        say_json(session.model_dump(mode="json"))
        return
    say(f"Session {one_line(full)} is called {one_line(session.name or '')}.")


def delete_session(given: str, *, may_ask: bool, as_json: bool) -> None:
    """Delete a session; on a terminal, ask before.

    Raises:
        InvalidInput: nobody can be asked.
    """
    settings = read_settings()
    with store.existing_database(settings) as db:
        full = _full_id(db, given)
        session = db.read_now(lambda tx: records.read(tx, full, OPERATOR))
        if may_ask and not prompts.can_ask():
            message = f"Session {full!r} was not deleted: off a terminal, pass --yes."
            raise InvalidInput(message)
        if may_ask and not _is_meant(session):
            say("Nothing was deleted.")
            return
        cancelled = operator.delete_session(settings, db, full)
    delivered = all(cancelled)
    if as_json:
        done = {"session_id": full, "deleted": True, "cancelled_runs": len(cancelled)}
        say_json({**done, "delivered": delivered})
        return
    say(f"Deleted: session {one_line(full)} with {count(session.run_count, 'run')}.")
    if not delivered:
        say("What executes its runs is told when a worker runs.")


def _is_meant(session: Session) -> bool:
    called = f" ({one_line(session.name)})" if session.name else ""
    what = f"session {one_line(session.session_id)}{called} with"
    return typer.confirm(f"Delete {what} {count(session.run_count, 'run')} for good?")


def _full_id(db: Store, given: str) -> str:
    return db.read_now(lambda tx: listings.full_session_id(tx, given))


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
    say(f"  {owner} with {one_line(session.component_id)}")
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


def _told(run: RunOutput, came: list[FileReference]) -> dict[str, JsonValue]:
    told = run.model_dump(mode="json", include=_OF_A_RUN)
    return {**told, "files": [one.model_dump(mode="json") for one in came]}


def _say_runs(
    session: Session, runs: list[RunOutput], came: dict[str, list[FileReference]]
) -> None:
    if not runs:
        return
    say("")
    headings = ("NUMBER", "RUN", "STATUS", "AGE", "INPUT")
    say_table(headings, [_run_row(run, came.get(run.run_id, [])) for run in runs])
    if session.run_count > len(runs):
        say(f"{len(runs)} of {count(session.run_count, 'run')}; more with --limit.")


def _run_row(run: RunOutput, came: list[FileReference]) -> tuple[str, ...]:
    age = show_age(run.created_at)
    said = " ".join([run.input, *(f"[{one.name}]" for one in came)]).strip()
    return str(run.number), show_id(run.run_id), where_it_stands(run), age, said
