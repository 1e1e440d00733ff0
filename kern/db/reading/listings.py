"""Listings for operators: pages of runs and requirements, and ids found by their ends."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Table
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from kern.contracts.reports import Backlog, Decision, RunPage
from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.tables import DecisionRow, OutboxRow, RunRow
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS, SESSIONS
from kern.db.journal import audit_chain
from kern.db.journal.audit_chain import principal_of_row
from kern.db.journal.installation import run_id_of
from kern.db.reading.run_outputs import find_requirement, find_run, summary_of
from kern.db.reading.search import matching
from kern.db.reading.visibility import visible
from kern.errors import InvalidInput
from kern.values.ids import optional_id, require_id
from kern.values.states import RequirementStatus, RunStatus, Verdict

Item = TypeVar("Item")

# UUIDv7 begin with the time: ids of one day look alike at their beginning.
SHORTEST_ENDING = 6


_SEARCHED = ("input", "user_id", "component_id", "id")


def list_runs(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    after: str | None = None,
    status: RunStatus | None = None,
    user_id: str | None = None,
    component_id: str | None = None,
    session_id: str | None = None,
    created_after: datetime | None = None,
    search: str | None = None,
) -> RunPage:
    """Return the runs that the viewer may see, the latest first, without child runs.

    Runs that begin later do not move the next page. `after` is the last run of the page before.
    `search` is a text in the input, the user, the component or the id.

    Raises:
        NotFound: there is no run `after`.
    """
    conditions = [col(RunRow.parent_run_id).is_(None), *visible(viewer, RUNS.table)]
    query = select(RunRow).where(*conditions)
    if search is not None:
        query = query.where(*matching(RUNS.table, search, _SEARCHED, "created_at", conditions))
    if optional_id("component_id", component_id) is not None:
        query = query.where(RunRow.component_id == component_id)
    if status is not None:
        query = query.where(RunRow.status == status.value)
    if optional_id("user_id", user_id) is not None:
        query = query.where(RunRow.user_id == user_id)
    if optional_id("session_id", session_id) is not None:
        query = query.where(RunRow.session_id == session_id)
    if created_after is not None:
        query = query.where(col(RunRow.created_at) > created_after)
    if after is not None:
        last = find_run(tx, after, viewer)
        at = col(RunRow.created_at)
        earlier = (at < last.created_at) | ((at == last.created_at) & (col(RunRow.id) < last.id))
        query = query.where(earlier)
    query = query.order_by(col(RunRow.created_at).desc(), col(RunRow.id).desc())
    rows = _one_more(tx, query, limit)
    return RunPage(
        runs=[summary_of(row) for row in rows[:limit]],
        next_cursor=rows[limit - 1].id if rows[limit:] else None,
    )


def decisions_of(tx: Session, run_id: str) -> list[Decision]:
    """Return what was decided in a run, in the order of the log."""
    query = select(DecisionRow).where(DecisionRow.run_id == run_id).order_by(col(DecisionRow.seq))
    return [decision_of(row) for row in tx.exec(query)]


def decisions_about(tx: Session, requirement_id: str) -> list[Decision]:
    """Return what was decided about one requirement, in the order of the log."""
    return [decision_of(row) for row in audit_chain.decisions_of(tx, requirement_id)]


def decision_of(row: DecisionRecord) -> Decision:
    """Build a decision from its row."""
    return Decision(
        seq=row.seq,
        id=row.id,
        requirement_id=row.requirement_id,
        run_id=row.run_id,
        tool=row.tool_name,
        verdict=Verdict(row.verdict),
        by=row.actor,
        principal=principal_of_row(row),
        note=row.note,
        at=row.at,
        edit=None if row.edit is None else dict(row.edit),
        given=row.given,
        hash=row.hash,
    )


def backlog(tx: Session, run_id: str | None = None) -> Backlog:
    """Count what waits, in all runs or in one."""
    pending = select(func.count()).where(RequirementRow.status == RequirementStatus.pending.value)
    waiting = select(func.count(col(OutboxRow.id)))
    oldest = select(func.min(OutboxRow.created_at))
    if run_id is not None:
        pending = pending.where(RequirementRow.run_id == run_id)
        waiting = waiting.where(OutboxRow.run_id == run_id)
        oldest = oldest.where(OutboxRow.run_id == run_id)
    return Backlog(
        pending=tx.exec(pending).one(),
        undelivered=tx.exec(waiting).one(),
        oldest_undelivered=tx.exec(oldest).one(),
    )


def full_run_id(tx: Session, viewer: Viewer, ending: str, *, name: str = "run_id") -> str:
    """Return the id of the run that alone has this id or ending; else the ending itself.

    Of those that the viewer reaches. The id of its workflow serves too.

    Raises:
        InvalidInput: several ids have this ending, or no id can; `name` says whose it is.
    """
    ending = run_id_of(require_id(name, ending))
    return _full_id(tx, viewer, RUNS.table, ending, "runs")


def full_session_id(tx: Session, viewer: Viewer, ending: str) -> str:
    """Return the id of the session that alone has this id or ending; else the ending itself.

    Of those that the viewer reaches.

    Raises:
        InvalidInput: several ids have this ending, or no id can.
    """
    return _full_id(tx, viewer, SESSIONS.table, require_id("session_id", ending), "sessions")


def full_requirement_id(
    tx: Session, viewer: Viewer, ending: str, *, name: str = "requirement_id"
) -> str:
    """Return the id of the requirement that alone has this id or ending; else the ending.

    Of those that the viewer reaches.

    Raises:
        InvalidInput: several ids have this ending, or no id can; `name` says whose it is.
    """
    return _full_id(tx, viewer, REQUIREMENTS.table, require_id(name, ending), "requirements")


def find_requirement_by_ending(tx: Session, viewer: Viewer, ending: str) -> RequirementRecord:
    """Return the requirement that alone has this id or ending, if the viewer may see it.

    Raises:
        InvalidInput: several ids have this ending, or no id can.
        NotFound: there is no such requirement.
        NotAllowed: it belongs to somebody else's run.
    """
    # Mostly it is the whole id, and the row is read once.
    row = tx.get(RequirementRow, require_id("requirement_id", ending))
    full = full_requirement_id(tx, viewer, ending) if row is None else row.id
    return find_requirement(tx, full, viewer)


def _full_id(tx: Session, viewer: Viewer, table: Table, ending: str, things: str) -> str:
    reached = sql_select(table.c.id).where(*visible(viewer, table))
    is_whole = execute(tx, reached.where(table.c.id == ending)).first() is not None
    if is_whole or len(ending.removeprefix("…")) < SHORTEST_ENDING:
        return ending
    ends_so = table.c.id.endswith(ending.removeprefix("…"), autoescape=True)
    matches: list[str] = list(execute(tx, reached.where(ends_so).limit(2)).scalars())
    if len(matches) > 1:
        message = (
            f"Several {things} have an id that ends with {ending!r}, such as {matches[0]!r} and "
            f"{matches[1]!r}: give more of it."
        )
        raise InvalidInput(message)
    return matches[0] if matches else ending


def _one_more(tx: Session, query: SelectOfScalar[Item], limit: int) -> list[Item]:
    """Return up to one row more than the limit, which says whether there is another page."""
    return list(tx.exec(query.limit(limit + 1)))
