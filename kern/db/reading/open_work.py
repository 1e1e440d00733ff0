"""What a run's workflow has missed: it compares what the workflow waits for with the rows.

A Temporal that comes back older than the database, from a backup or a lagging replica, has
forgotten signals and progress that it had acknowledged. Its workflows wait for what happened long
ago, and nobody would signal it again.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select
from sqlmodel import Session

from kern.contracts.messages import OpenWork
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS, STEPS
from kern.db.reading.run_trees import has_ended
from kern.pipeline.frames import SERVED_VALUES
from kern.values.states import RequirementStatus, RunStatus

_runs, _requirements, _steps = (RUNS.table, REQUIREMENTS.table, STEPS.table)
# What is left is found by the next search: one run never takes more than this of it.
_MOST = 200
_CLOSED = select(_requirements.c.id).where(
    _requirements.c.id.in_(bindparam("ids", expanding=True)),
    _requirements.c.status != RequirementStatus.pending.value,
)
_ENDED = select(_runs.c.id).where(
    _runs.c.id.in_(bindparam("ids", expanding=True)), has_ended(_runs.c.status)
)
_LANES = select(func.coalesce(_steps.c.lane, _steps.c.id)).where(
    _steps.c.run_id == bindparam("run_id"), _steps.c.phase.in_(SERVED_VALUES)
)
_STATUS = select(_runs.c.status).where(_runs.c.id == bindparam("run_id"))


@dataclass(frozen=True)
class MissedNews:
    """What a workflow has not heard of.

    Attributes:
        is_cancelled: The run was cancelled.
        closed: Requirements for which the workflow waits and which nobody has to resolve any more.
        ended_children: Child runs whose workflows it waits for, and which have ended.
        has_unserved_lanes: A pipeline has open work that the workflow does not serve.
    """

    is_cancelled: bool
    closed: tuple[str, ...]
    ended_children: tuple[str, ...]
    has_unserved_lanes: bool


def missed_news(tx: Session, run_id: str, open_work: OpenWork) -> MissedNews:
    """Compare what a workflow knows with the rows."""
    status = execute(tx, _STATUS, run_id=run_id).scalar()
    lanes = set(execute(tx, _LANES, run_id=run_id).scalars())
    return MissedNews(
        is_cancelled=status == RunStatus.cancelled.value,
        closed=tuple(execute(tx, _CLOSED, ids=list(open_work.requirements[:_MOST])).scalars()),
        ended_children=tuple(execute(tx, _ENDED, ids=list(open_work.children[:_MOST])).scalars()),
        has_unserved_lanes=not lanes <= set(open_work.lanes),
    )
