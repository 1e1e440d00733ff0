"""Listings for operators: pages of runs and requirements, and ids found by their ends."""

from typing import TypeVar

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from kern.contracts.reports import Backlog, Decision, RequirementPage, RunPage
from kern.contracts.viewer import Viewer
from kern.db.engine.tables import DecisionRow, OutboxRow, RequirementRow, RunRow, SessionRow
from kern.db.journal.audit_chain import principal_of_row
from kern.db.journal.installation import run_id_of
from kern.db.reading.requirement_outputs import requirements_of
from kern.db.reading.run_outputs import find_requirement, find_run, summary_of
from kern.errors import InvalidInput
from kern.values.ids import optional_id, require_id
from kern.values.states import RequirementKind, RequirementStatus, RunStatus, Verdict

Item = TypeVar("Item")

# UUIDv7 begin with the time: ids of one day look alike at their beginning.
SHORTEST_ENDING = 6


def list_runs(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    after: str | None = None,
    status: RunStatus | None = None,
    user_id: str | None = None,
    component_id: str | None = None,
) -> RunPage:
    """Return the runs that the viewer may see, the latest first, without child runs.

    Runs that begin later do not move the next page. `after` is the last run of the page before.

    Raises:
        NotFound: there is no run `after`.
    """
    query = select(RunRow).where(col(RunRow.parent_run_id).is_(None))
    query = query.where(*_visible(viewer, RunRow.user_id, RunRow.component_id))
    if optional_id("component_id", component_id) is not None:
        query = query.where(RunRow.component_id == component_id)
    if status is not None:
        query = query.where(RunRow.status == status.value)
    if optional_id("user_id", user_id) is not None:
        query = query.where(RunRow.user_id == user_id)
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


def list_pending(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    after: str | None = None,
    user_id: str | None = None,
    run_id: str | None = None,
    session_id: str | None = None,
    kind: RequirementKind | None = None,
) -> RequirementPage:
    """Return the pending requirements that the viewer may see, the oldest first.

    `after` is the last requirement of the page before; `run_id` covers its child runs.

    Raises:
        NotFound: there is no requirement `after`.
    """
    query = select(RequirementRow).where(RequirementRow.status == RequirementStatus.pending.value)
    query = query.where(*_visible(viewer, RequirementRow.user_id))
    if optional_id("session_id", session_id) is not None:
        query = query.where(RequirementRow.session_id == session_id)
    if kind is not None:
        query = query.where(RequirementRow.kind == kind.value)
    if optional_id("user_id", user_id) is not None:
        query = query.where(RequirementRow.user_id == user_id)
    if run_id is not None:
        inside = col(RequirementRow.root_run_id) == run_id
        query = query.where((col(RequirementRow.run_id) == run_id) | inside)
    if after is not None:
        last = find_requirement(tx, after, viewer)
        at, key = col(RequirementRow.created_at), col(RequirementRow.id)
        query = query.where((at > last.created_at) | ((at == last.created_at) & (key > last.id)))
    query = query.order_by(col(RequirementRow.created_at), col(RequirementRow.id))
    rows = _one_more(tx, query, limit)
    return RequirementPage(
        requirements=requirements_of(tx, rows[:limit]),
        next_cursor=rows[limit - 1].id if rows[limit:] else None,
    )


def decisions_of(tx: Session, run_id: str) -> list[Decision]:
    """Return what was decided in a run, in the order of the log."""
    query = select(DecisionRow).where(DecisionRow.run_id == run_id).order_by(col(DecisionRow.seq))
    return [
        Decision(
            seq=row.seq,
            id=row.id,
            requirement_id=row.requirement_id,
            run_id=row.run_id,
            verdict=Verdict(row.verdict),
            by=row.actor,
            principal=principal_of_row(row),
            note=row.note,
            at=row.at,
            edit=row.edit,
            given=row.given,
            hash=row.hash,
        )
        for row in tx.exec(query)
    ]


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


def full_run_id(tx: Session, ending: str, *, name: str = "run_id") -> str:
    """Return the id of the run that alone has this id or ending; else the ending itself.

    The id of its workflow serves too.

    Raises:
        InvalidInput: several ids have this ending, or no id can; `name` says whose it is.
    """
    ending = run_id_of(require_id(name, ending))
    if tx.get(RunRow, ending) is not None:
        return ending
    return _only_match(tx, select(RunRow.id).where(_ends_with(RunRow.id, ending)), ending, "runs")


def full_session_id(tx: Session, ending: str) -> str:
    """Return the id of the session that alone has this id or ending; else the ending itself.

    Raises:
        InvalidInput: several ids have this ending, or no id can.
    """
    if tx.get(SessionRow, require_id("session_id", ending)) is not None:
        return ending
    query = select(SessionRow.id).where(_ends_with(SessionRow.id, ending))
    return _only_match(tx, query, ending, "sessions")


def full_requirement_id(tx: Session, ending: str, *, name: str = "requirement_id") -> str:
    """Return the id of the requirement that alone has this id or ending; else the ending.

    Raises:
        InvalidInput: several ids have this ending, or no id can; `name` says whose it is.
    """
    if tx.get(RequirementRow, require_id(name, ending)) is not None:
        return ending
    query = select(RequirementRow.id).where(_ends_with(RequirementRow.id, ending))
    return _only_match(tx, query, ending, "requirements")


def _ends_with(column: str, ending: str) -> ColumnElement[bool]:
    return col(column).endswith(ending.removeprefix("…"), autoescape=True)


def _only_match(tx: Session, query: SelectOfScalar[str], ending: str, things: str) -> str:
    if len(ending.removeprefix("…")) < SHORTEST_ENDING:
        return ending
    matches = list(tx.exec(query.limit(2)))
    if len(matches) > 1:
        message = (
            f"Several {things} have an id that ends with {ending!r}, such as {matches[0]!r} and "
            f"{matches[1]!r}: give more of it."
        )
        raise InvalidInput(message)
    return matches[0] if matches else ending


def _visible(
    viewer: Viewer, owner: str | None, component_id: str | None = None
) -> list[ColumnElement[bool]]:
    """Return the conditions of what a viewer may see, on the columns of a listing."""
    conditions: list[ColumnElement[bool]] = []
    if not viewer.is_operator:
        conditions.append(col(owner).is_not_distinct_from(viewer.user_id))
    if viewer.component_id is not None and component_id is not None:
        conditions.append(col(component_id) == viewer.component_id)
    return conditions


def _one_more(tx: Session, query: SelectOfScalar[Item], limit: int) -> list[Item]:
    """Return up to one row more than the limit, which says whether there is another page."""
    return list(tx.exec(query.limit(limit + 1)))
