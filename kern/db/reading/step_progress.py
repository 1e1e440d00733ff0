"""Reads the progress of a workflow's run, and the steps that it has opened."""

from typing import Any, cast

from sqlalchemy import Row, bindparam, func, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import RunRecord
from kern.db.engine.step_records import StepRecord
from kern.db.engine.typed_tables import EVENTS, REQUIREMENTS, RUNS, STEPS, TOOL_CALLS
from kern.db.reading.run_timing import spent
from kern.pipeline.frames import SERVED_VALUES
from kern.process.clock import utc_now
from kern.run import Progress, StepExecution
from kern.values.states import RunStatus
from kern.values.validation import require_count

_MOST_CURRENT = 20
_steps, _calls, _runs, _requirements, _events = (
    STEPS.table,
    TOOL_CALLS.table,
    RUNS.table,
    REQUIREMENTS.table,
    EVENTS.table,
)
_CURRENT = (
    select(_steps.c.name)
    .where(_steps.c.run_id == bindparam("run_id"), _steps.c.phase.in_(SERVED_VALUES))
    .order_by(_steps.c.number)
    .limit(_MOST_CURRENT)
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
_FAILED = (
    select(_events.c.data)
    .where(_events.c.run_id == bindparam("run_id"), _events.c.kind == "step_attempt_failed")
    .order_by(_events.c.seq)
)
_QUESTIONS = (
    select(_calls.c.step_id, _requirements.c.created_at, _requirements.c.resolved_at)
    .join(_requirements, _requirements.c.tool_call_id == _calls.c.id)
    .where(_calls.c.run_id == bindparam("run_id"), _calls.c.step_id.is_not(None))
)


def progress_of(tx: Session, run: RunRecord) -> Progress | None:
    """Return the progress of a workflow's run; None for any other run."""
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
    require_count("limit", limit)
    require_count("after", after, least=0)
    steps = list(rows(tx, STEPS, _OF_RUN, run_id=run_id, limit=limit, after=after))
    context = _Context(tx, run_id, has_open=any(row.outcome is None for row in steps))
    return [context.step(row) for row in steps]


def count_of(tx: Session, run_id: str) -> int:
    """Return how many steps a run has opened."""
    return int(execute(tx, _COUNT, run_id=run_id).scalar() or 0)


class _Context:
    """What the other rows of a run say about its steps."""

    def __init__(self, tx: Session, run_id: str, *, has_open: bool) -> None:
        self._now = utc_now()
        self._parents: dict[str, str | None] = {
            row.id: row.parent_id for row in execute(tx, _PARENTS, run_id=run_id)
        }
        self._children: dict[str, RunRecord] = {
            row.call_id: cast("RunRecord", row) for row in execute(tx, _RUNS, run_id=run_id)
        }
        self._questions: dict[str, list[Row[Any]]] = {}
        for row in execute(tx, _QUESTIONS, run_id=run_id):
            self._questions.setdefault(row.step_id, []).append(row)
        # The failure of an attempt only matters while the step has not ended.
        failed = execute(tx, _FAILED, run_id=run_id).scalars() if has_open else ()
        self._failed = {data["step_id"]: data["reason"] for data in failed}

    def step(self, row: StepRecord) -> StepExecution:
        """Build a step from its row and the other rows about it."""
        child = self._children.get(row.call_id or "")
        is_open = row.outcome is None and row.error_message is None
        return StepExecution(
            id=row.id,
            name=row.name,
            node=row.node,
            parent_id=row.parent_id,
            depth=self._depth(row),
            place=row.place,
            phase=row.phase,
            outcome=row.outcome,
            content=row.content,
            error=self._failed.get(row.id) if is_open else row.error_message,
            child_run_id=None if child is None else child.id,
            is_waiting=row.outcome is None and (row.is_waiting or _is_paused(child)),
            waiting_seconds=self._waited(row, child),
            started_at=row.started_at,
            finished_at=row.finished_at,
        )

    def _depth(self, row: StepRecord) -> int:
        depth, above = 0, row.parent_id
        while above is not None:
            depth, above = depth + 1, self._parents.get(above)
        return depth

    def _waited(self, row: StepRecord, child: RunRecord | None) -> float:
        """Return how long a step that had begun waited for people, itself and in its child run."""
        started_at, seconds_of_child = (
            row.started_at,
            0.0 if child is None else spent(child, self._now)[1],
        )
        if started_at is None:
            return seconds_of_child
        questions = (
            question
            for question in self._questions.get(row.id, ())
            if question.created_at >= started_at
        )
        spans = (
            (question.resolved_at or self._now) - question.created_at for question in questions
        )
        return seconds_of_child + float(sum(span.total_seconds() for span in spans))


def _is_paused(child: RunRecord | None) -> bool:
    return child is not None and child.status == RunStatus.paused.value
