"""Whether a run's steps wait for people, from which its status is derived; and cancelling them.

A failed run keeps its steps as they are, since it may be retried.
"""

from datetime import datetime

from sqlalchemy import bindparam, false, func, select
from sqlmodel import Session

from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import ToolCallRecord
from kern.db.engine.typed_tables import RUNS, STEPS, TOOL_CALLS
from kern.db.engine.unit_of_work import save
from kern.db.runs.frames import hold_step
from kern.pipeline.frames import SERVED_VALUES, Outcome, Phase
from kern.values.states import RunStatus

_steps, _calls, _runs = (STEPS.table, TOOL_CALLS.table, RUNS.table)
# A step that a child run executes is as active as that run.
_HAS_CHILD_RUN = (_steps.c.phase == Phase.work.value) & _calls.c.child_run_id.is_not(None)
_HAS_PAUSED_RUN = _HAS_CHILD_RUN & (_runs.c.status == RunStatus.paused.value)
_SERVED_STEP = (
    select(_steps.c.id)
    .select_from(
        _steps.outerjoin(_calls, _calls.c.id == _steps.c.call_id).outerjoin(
            _runs, _runs.c.id == _calls.c.child_run_id
        )
    )
    .where(_steps.c.run_id == bindparam("run_id"), _steps.c.phase.in_(SERVED_VALUES))
    .limit(1)
)
# Comparing a status that is NULL is neither true nor false, so it is coalesced.
_WAITING = _SERVED_STEP.where(_steps.c.is_waiting | func.coalesce(_HAS_PAUSED_RUN, false()))
_NOT_WAITING = _SERVED_STEP.where(_steps.c.is_waiting.is_(False))
_ACTIVE = _NOT_WAITING.where(~func.coalesce(_HAS_PAUSED_RUN, false()))
_ACTIVE_ITSELF = _NOT_WAITING.where(~_HAS_CHILD_RUN)

_CANCEL = (
    _steps.update()
    .where(_steps.c.run_id == bindparam("of_run"), _steps.c.phase != Phase.done.value)
    .values(
        phase=Phase.done.value,
        outcome=Outcome.cancelled.value,
        is_waiting=False,
        finished_at=bindparam("now", type_=UtcDateTime),
    )
)


def cancel_steps(tx: Session, run_id: str, now: datetime) -> None:
    """End the steps of a run that was cancelled."""
    save(tx)
    execute(tx, _CANCEL, of_run=run_id, now=now)


def resume_step(tx: Session, call: ToolCallRecord) -> bool:
    """Make the step of a decided call active again; False if the call is not a step's."""
    if call.step_id is None:
        return False
    frame = hold_step(tx, call.step_id)
    if frame is not None:
        frame.is_waiting = False
    return True


def suspend_step(tx: Session, call: ToolCallRecord) -> None:
    """Make the step of a call wait again, because its requirement was opened again."""
    frame = None if call.step_id is None else hold_step(tx, call.step_id)
    if frame is not None:
        frame.is_waiting = True


def awaits_people_only(tx: Session, run_id: str) -> bool:
    """Whether a run's steps, and the runs that execute them, wait for nothing but people.

    A child that becomes active again locks its own row and then this one, and corrects it.
    """
    save(tx)
    active = execute(tx, _ACTIVE, run_id=run_id).first()
    return active is None and execute(tx, _WAITING, run_id=run_id).first() is not None


def has_active_step(tx: Session, run_id: str) -> bool:
    """Whether a step is active that neither waits for a person nor is executed by a run."""
    return execute(tx, _ACTIVE_ITSELF, run_id=run_id).first() is not None
