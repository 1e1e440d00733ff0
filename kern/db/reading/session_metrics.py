"""The usage of a session: sums over its runs, made by the database."""

from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, case, func, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.columns import Seconds, UtcDateTime
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import RUNS
from kern.db.reading.sessions import find_session
from kern.session import SessionMetrics
from kern.values.states import RunStatus

_runs = RUNS.table.c
_SUMS = (
    *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
    *("model_calls", "tool_calls"),
)
# The time since a run was last counted belongs to its present status, as in `run_timing`.
_elapsed = func.coalesce(Seconds(_runs.counted_at, bindparam("now", type_=UtcDateTime)), 0.0)
_is_root = _runs.parent_run_id.is_(None)
_is_waiting = _runs.status == RunStatus.paused.value
_is_working = _runs.status.in_((RunStatus.pending.value, RunStatus.running.value))


def _duration(
    counted: ColumnElement[float], is_counting: ColumnElement[bool]
) -> ColumnElement[float]:
    # The clocks of two machines may differ.
    so_far = counted + case((is_counting & (_elapsed > 0), _elapsed), else_=0.0)
    # While a member of a team works, so does the team.
    return func.coalesce(func.sum(so_far).filter(_is_root), 0.0)


_METRICS = select(
    func.count().filter(_is_root).label("run_count"),
    *(func.coalesce(func.sum(_runs[name]), 0).label(name) for name in _SUMS),
    _duration(_runs.working_seconds, _is_working).label("working_seconds"),
    _duration(_runs.waiting_seconds, _is_waiting).label("waiting_seconds"),
).where(
    _runs.session_id == bindparam("session_id"),
    # A copied run cost nothing.
    _runs.forked_from.is_(None),
)


def metrics(tx: Session, session_id: str, viewer: Viewer, now: datetime) -> SessionMetrics:
    """Sum up what a session's runs used, up to now. Raises as `find_session`."""
    find_session(tx, session_id, viewer)
    sums = execute(tx, _METRICS, session_id=session_id, now=now)
    return SessionMetrics.model_validate(sums.mappings().one())
