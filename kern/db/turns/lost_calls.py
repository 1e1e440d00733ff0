"""Calls that a cancelled or failed run left executing, and whose worker was lost.

Whoever executes such a call stores how it ended. If its worker died, nobody does, and nobody asks a
person either, since the run has ended: the call may or may not have happened, and its row says so.
"""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import RUNS, TOOL_CALLS
from kern.db.engine.unit_of_work import hold_all
from kern.db.journal.events import record
from kern.db.runs import lifecycle
from kern.values.states import RunStatus, ToolCallStatus

_runs, _calls = RUNS.table, TOOL_CALLS.table
_ENDED_EARLY = (RunStatus.cancelled.value, RunStatus.error.value)
_MOST = 100
_now = bindparam("now", type_=UtcDateTime)
_RUNS_WITH_LOST = (
    select(_runs.c.id)
    .join_from(_runs, _calls, _calls.c.run_id == _runs.c.id)
    .where(
        _runs.c.status.in_(_ENDED_EARLY),
        _runs.c.updated_at > bindparam("since", type_=UtcDateTime),
        _calls.c.status == ToolCallStatus.running.value,
        _calls.c.leased_until < _now,
    )
    .distinct()
    .limit(_MOST)
)
_LOST = (
    _calls.select()
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.status == ToolCallStatus.running.value,
        _calls.c.leased_until < _now,
    )
    .with_for_update()
)


def runs_with_lost_calls(tx: Session, since: datetime, now: datetime) -> list[str]:
    """Return runs that were cancelled or failed after `since` and have such calls, up to 100."""
    return list(execute(tx, _RUNS_WITH_LOST, since=since, now=now).scalars())


def note_lost_calls(tx: Session, run_id: str, now: datetime) -> None:
    """Note of a run's lost calls that nobody knows whether they happened."""
    run = lifecycle.lock(tx, run_id)
    if run.status not in _ENDED_EARLY:
        return
    for call in hold_all(tx, TOOL_CALLS, _LOST, run_id=run_id, now=now):
        call.status = ToolCallStatus.unknown.value
        record(tx, run, "tool_call_lost", now, tool_call_id=call.id, tool=call.name)
