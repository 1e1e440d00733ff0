"""Runs whose workflow does nothing although the rows have work for it, and who restarts them.

A worker keeps workflows in memory, and Temporal trusts that memory. After Temporal came back older,
a worker that lived on remembers what the history does not hold: such a workflow waits for what
nobody sends, or fails each time that it is continued. The rows alone are enough to go on, so
another workflow begins with them, in the place of the one that is stuck.
"""

from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, not_, or_, select
from sqlmodel import Session

from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS
from kern.db.journal.events import record
from kern.db.reading.run_trees import has_ended
from kern.db.runs import lifecycle
from kern.values.states import RequirementStatus, RunStatus

_runs, _requirements = RUNS.table, REQUIREMENTS.table
_HAS_OPEN_CHILDREN = select(
    exists().where(_runs.c.parent_run_id == bindparam("of_run"), not_(has_ended(_runs.c.status)))
)


def overdue(before: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Return the condition that something was to happen before a moment to a pending requirement.

    That is its deadline, its reminder or its escalation.
    """
    return and_(
        _requirements.c.status == RequirementStatus.pending.value,
        or_(
            _requirements.c.due_at < before,
            _requirements.c.remind_at < before,
            _requirements.c.escalate_at < before,
        ),
    )


_IS_OVERDUE = select(
    exists().where(
        _requirements.c.run_id == bindparam("of_run"),
        overdue(bindparam("before", type_=UtcDateTime)),
    )
)
_MOST_CHILDREN = 200
_ENDED_CHILDREN = (
    select(_runs.c.id)
    .where(_runs.c.parent_run_id == bindparam("of_run"), has_ended(_runs.c.status))
    .order_by(_runs.c.updated_at.desc())
    .limit(_MOST_CHILDREN)
)


def ended_children(tx: Session, run_id: str) -> list[str]:
    """Return the ids of the child runs that have ended, the latest first, up to 200."""
    return list(execute(tx, _ENDED_CHILDREN, of_run=run_id).scalars())


def claim(tx: Session, run_id: str, before: datetime, now: datetime) -> bool:
    """Take on the restart of a run that has work to do and has not changed since `before`.

    Of several relays one claims it: the claim is a change. One that dies then leaves it to the next
    search.
    """
    run = lifecycle.lock(tx, run_id)
    status = RunStatus(run.status)
    if status.is_final or run.is_queued or run.updated_at >= before:
        return False
    if execute(tx, _HAS_OPEN_CHILDREN, of_run=run_id).scalar():
        # They are looked at themselves, and this run goes on when they have ended.
        return False
    if (
        status is RunStatus.paused
        and not execute(tx, _IS_OVERDUE, of_run=run_id, before=before).scalar()
    ):
        return False
    run.updated_at = now
    record(tx, run, "run_restarted", now)
    return True
