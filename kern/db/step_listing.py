"""Reads how far a workflow's run has come, and the steps that it has opened."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Row, bindparam, func, select
from sqlmodel import Session

from kern.clock import utc_now
from kern.counts import a_count
from kern.db.rows import execute, rows, table_of
from kern.db.step_tables import StepRow
from kern.db.tables import RequirementRow, RunRow, ToolCallRow
from kern.db.timing import spent
from kern.pipeline.frames import SERVED_VALUES
from kern.run import Progress, StepExecution

_AT_ONCE = 20
_steps, _calls, _runs, _asked = (
    table_of(kind) for kind in (StepRow, ToolCallRow, RunRow, RequirementRow)
)
_CURRENT = (
    select(_steps.c.name)
    .where(_steps.c.run_id == bindparam("run_id"), _steps.c.phase.in_(SERVED_VALUES))
    .order_by(_steps.c.number)
    .limit(_AT_ONCE)
)
_OF_RUN = (
    _steps.select()
    .where(_steps.c.run_id == bindparam("run_id"), _steps.c.number > bindparam("after"))
    .order_by(_steps.c.number)
    .limit(bindparam("limit"))
)
_PARENTS = select(_steps.c.id, _steps.c.parent_id).where(_steps.c.run_id == bindparam("run_id"))
_COUNT = select(func.count()).where(_steps.c.run_id == bindparam("run_id"))
_RUNS = (
    select(_calls.c.id.label("call_id"), *_runs.c)
    .join(_runs, _runs.c.id == _calls.c.child_run_id)
    .where(_calls.c.run_id == bindparam("run_id"))
)
_ASKED = (
    select(_calls.c.step_id, _asked.c.created_at, _asked.c.resolved_at)
    .join(_asked, _asked.c.tool_call_id == _calls.c.id)
    .where(_calls.c.run_id == bindparam("run_id"), _calls.c.step_id.is_not(None))
)


def progress_of(tx: Session, run: RunRow) -> Progress | None:
    """Return how far a workflow's run has come; None for any other run."""
    if run.component_kind != "workflow":
        return None
    return Progress(
        done=run.steps_done,
        known=run.steps_known,
        current=list(execute(tx, _CURRENT, run_id=run.id).scalars()),
        elapsed_seconds=sum(spent(run, utc_now())),
    )


def steps_of(tx: Session, run_id: str, limit: int, after: int = 0) -> list[StepExecution]:
    """Return a run's steps in the order in which they were opened; the first is the whole.

    Raises:
        InvalidInput: `limit` or `after` is no such number.
    """
    a_count("limit", limit)
    a_count("after", after, least=0)
    found = list(rows(tx, StepRow, _OF_RUN, run_id=run_id, limit=limit, after=after))
    parents = {row.id: row.parent_id for row in execute(tx, _PARENTS, run_id=run_id)}
    children = execute(tx, _RUNS, run_id=run_id)
    executed_by = {row.call_id: cast("RunRow", row) for row in children}
    asked: dict[str, list[Row[Any]]] = {}
    for one in execute(tx, _ASKED, run_id=run_id):
        asked.setdefault(one.step_id, []).append(one)
    return [
        _step(row, parents, executed_by.get(row.call_id or ""), asked.get(row.id, ()))
        for row in found
    ]


def count_of(tx: Session, run_id: str) -> int:
    """Return how many steps a run has opened."""
    return int(execute(tx, _COUNT, run_id=run_id).scalar() or 0)


def _step(
    row: StepRow, parents: Mapping[str, str | None], child: RunRow | None, asked: Sequence[Row[Any]]
) -> StepExecution:
    depth, above = 0, row.parent_id
    while above is not None:
        depth, above = depth + 1, parents.get(above)
    return StepExecution(
        id=row.id,
        name=row.name,
        node=row.node,
        depth=depth,
        place=row.place,
        phase=row.phase,
        outcome=row.outcome,
        content=row.content,
        error=row.error_message,
        child_run_id=None if child is None else child.id,
        waiting_seconds=_waited(row, child, asked),
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _waited(row: StepRow, child: RunRow | None, asked: Sequence[Row[Any]]) -> float:
    """Return how long people were asked about a step that had begun, and inside its run."""
    begun, now = row.started_at, utc_now()
    inside = 0.0 if child is None else spent(child, now)[1]
    if begun is None:
        return inside
    spans = ((one.resolved_at or now) - one.created_at for one in asked if one.created_at >= begun)
    return inside + float(sum(span.total_seconds() for span in spans))
