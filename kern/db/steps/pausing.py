"""Pauses a run that has children: its own rows do not say whether those wait for people."""

from datetime import datetime

from sqlalchemy import bindparam, or_, select
from sqlmodel import Session

from kern.contracts.messages import PauseOutcome
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS, TOOL_CALLS
from kern.db.reading.run_trees import has_ended
from kern.db.runs import lifecycle, step_waits
from kern.db.steps import transactions
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus

_runs, _calls, _requirements = (RUNS.table, TOOL_CALLS.table, REQUIREMENTS.table)
_ACTIVE_CHILD = (
    select(_runs.c.id)
    .where(
        _runs.c.parent_run_id == bindparam("run_id"),
        ~has_ended(_runs.c.status),
        _runs.c.status != RunStatus.paused.value,
    )
    .limit(1)
)
# A call that waits neither for a person nor for a child that is active.
_ACTIVE_CALL = (
    select(_calls.c.id)
    .select_from(
        _calls.outerjoin(
            _requirements,
            (_requirements.c.tool_call_id == _calls.c.id)
            & (_requirements.c.status == RequirementStatus.pending.value),
        ).outerjoin(_runs, _runs.c.id == _calls.c.child_run_id)
    )
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.status != ToolCallStatus.done.value,
        _requirements.c.id.is_(None),
        or_(_calls.c.child_run_id.is_(None), has_ended(_runs.c.status)),
    )
    .limit(1)
)
_UNFINISHED_CALL = (
    select(_calls.c.id)
    .where(_calls.c.run_id == bindparam("run_id"), _calls.c.status != ToolCallStatus.done.value)
    .limit(1)
)


def pause(tx: Session, run_id: str, now: datetime) -> PauseOutcome:
    """Pause a run if it and its descendants wait for nothing but people.

    Its workflow asks for it, because only the workflow knows of work between two activities. Return
    whether the run is idle, and the work that was opened instead.

    Raises:
        NotFound: there is no such run.
    """
    run = lifecycle.lock(tx, run_id)
    if RunStatus(run.status).is_final:
        return PauseOutcome(stands_still=True)
    is_pipeline = run.component_kind == "workflow"
    # A child that becomes active again locks its own row and then this one, and corrects it.
    is_active = (is_pipeline and step_waits.has_active_step(tx, run_id)) or any(
        execute(tx, query, run_id=run_id).first() for query in (_ACTIVE_CHILD, _ACTIVE_CALL)
    )
    if is_pipeline:
        work = transactions.pause(tx, run, now, is_active=is_active).work
        is_idle = not is_active and run.status == RunStatus.paused.value
        return PauseOutcome(stands_still=is_idle, work=work)
    # A Temporal that was restored to an older state may wait for a child whose call is done. Such a
    # run waits for nobody, and its status must not hide that it has to be continued.
    if is_active or execute(tx, _UNFINISHED_CALL, run_id=run_id).first() is None:
        return PauseOutcome()
    lifecycle.update_status(tx, run, now, paused=True)
    return PauseOutcome(stands_still=True)
