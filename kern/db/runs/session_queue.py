"""The order of a session's runs: a new run waits while another is active, not while it is paused.

Accepting a run and ending one both lock the session's row, so that neither misses the other.
"""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableSession
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import RUNS, SESSIONS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import outbox
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.errors import SessionBusy
from kern.process.checkpoints import reach
from kern.values.states import OnBusy, RunStatus

_runs, _sessions = (RUNS.table, SESSIONS.table)
_MOVING = (RunStatus.pending.value, RunStatus.running.value)
_SESSION = _sessions.select().where(_sessions.c.id == bindparam("session_id")).with_for_update()
# Child runs belong to a run that has its place already.
_FIRST_MOVING = (
    select(_runs.c.id, _runs.c.is_queued)
    .where(
        _runs.c.session_id == bindparam("session_id"),
        _runs.c.status.in_(_MOVING),
        _runs.c.parent_run_id.is_(None),
        _runs.c.id != bindparam("run_id"),
    )
    .order_by(_runs.c.is_queued, _runs.c.number)
    .limit(1)
)
# A run that is locked is being cancelled, and that transaction looks here afterwards.
_NEXT = (
    _runs.select()
    .where(
        _runs.c.session_id == bindparam("session_id"),
        _runs.c.status == RunStatus.pending.value,
        _runs.c.is_queued,
    )
    .order_by(_runs.c.number)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_STUCK = (
    select(_runs.c.session_id)
    .distinct()
    .where(
        _runs.c.status == RunStatus.pending.value,
        _runs.c.is_queued,
        _runs.c.updated_at < bindparam("before"),
    )
    .limit(100)
)


def lock_session(tx: Session, session_id: str) -> MutableSession | None:
    """Lock a session's row, after its run's if the transaction needs both."""
    return hold(tx, SESSIONS, _SESSION, session_id=session_id)


def has_to_wait(tx: Session, session_id: str, run_id: str, on_busy: OnBusy) -> bool:
    """Whether a run that is being accepted has to wait; the session's row is held.

    Raises:
        SessionBusy: another run is active, and the caller does not want to wait.
    """
    if on_busy is OnBusy.parallel:
        return False
    first = execute(tx, _FIRST_MOVING, session_id=session_id, run_id=run_id).first()
    if first is None:
        return False
    if on_busy is OnBusy.reject:
        message = (
            f"Session {session_id!r} is busy: run {first.id!r} has not ended. Nothing was "
            "accepted. Wait for it, or use on_busy='queue' or 'parallel'."
        )
        raise SessionBusy(message)
    return True


def start_next_run(tx: Session, session_id: str, stopped: str, now: datetime) -> None:
    """Deliver the session's next queued run, unless a run other than `stopped` is active."""
    lock_session(tx, session_id)
    first = execute(tx, _FIRST_MOVING, session_id=session_id, run_id=stopped).first()
    if first is None or not first.is_queued:
        return
    run = hold(tx, RUNS, _NEXT, session_id=session_id)
    if run is None:
        return
    # One transaction ends the earlier run and releases this one.
    reach("order.before_release")
    run.is_queued = False
    run.updated_at = now
    record(tx, run, "run_dequeued", now)
    outbox.enqueue(tx, run, DeliveryKind.start, now, grace=timedelta(0))
    reach("order.after_release")


def stuck_sessions(tx: Session, before: datetime) -> list[str]:
    """Return sessions with runs that have been queued since `before`."""
    return list(execute(tx, _STUCK, before=before).scalars())
