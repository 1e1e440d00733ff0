"""The order of a session's runs: a new run waits while another is active, not while it is paused.

Accepting a run and ending one both lock the session's row, so that neither misses the other.

The code of a run may start another one and wait for it: its *callee*, which has the ids of its
`callers`. A callee waits neither behind those, nor behind runs that are queued behind them, nor
behind a run that waits for a queued callee itself: each of these could wait for it in the end, and
then neither would ever begin. What else is active in its session, it waits for.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun, MutableSession
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import RUNS, SESSIONS
from kern.db.engine.unit_of_work import hold, hold_all, save
from kern.db.journal import outbox
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import run_row
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
_ACTIVE = (
    select(_runs.c.id)
    .where(
        _runs.c.session_id == bindparam("session_id"),
        _runs.c.status.in_(_MOVING),
        _runs.c.is_queued.is_(False),
        _runs.c.parent_run_id.is_(None),
        _runs.c.id != bindparam("run_id"),
    )
    .order_by(_runs.c.number)
)
_IS_QUEUED_CALLEE = (
    _runs.c.status == RunStatus.pending.value,
    _runs.c.is_queued,
    _runs.c.callers.is_not(None),
)
_CALLERS_OF_QUEUED = select(_runs.c.callers).where(*_IS_QUEUED_CALLEE)
_QUEUED_CALLEES = (
    _runs.select()
    .where(_runs.c.session_id == bindparam("session_id"), *_IS_QUEUED_CALLEE)
    .order_by(_runs.c.number)
    .with_for_update(skip_locked=True)
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


def callers_of(tx: Session, caller: str | None) -> list[str]:
    """Return the runs that may wait for what the code of `caller` starts, all at the root."""
    run = None if caller is None else run_row(tx, caller)
    if run is not None and run.root_run_id is not None:
        run = run_row(tx, run.root_run_id)
    return [] if run is None else [*(run.callers or ()), run.id]


def runs_executing(tx: Session, caller: str) -> set[str]:
    """Return the runs that cannot end before the code of `caller` does: it, and those above it."""
    run = run_row(tx, caller)
    above = [] if run is None else list(run.ancestors)
    return {caller, *above, *callers_of(tx, caller)}


def has_to_wait(
    tx: Session, session_id: str, run_id: str, on_busy: OnBusy, callers: Collection[str] = ()
) -> bool:
    """Whether a run that is being accepted has to wait; the session's row is held.

    Raises:
        SessionBusy: another run is active, and the caller does not want to wait.
    """
    if on_busy is OnBusy.parallel:
        return False
    ahead = _run_ahead(tx, session_id, run_id, callers)
    if ahead is None:
        return False
    if on_busy is OnBusy.reject:
        message = (
            f"Session {session_id!r} is busy: run {ahead!r} has not ended. Nothing was "
            "accepted. Wait for it, or use on_busy='queue' or 'parallel'."
        )
        raise SessionBusy(message)
    return True


def start_next_run(tx: Session, session_id: str, stopped: str, now: datetime) -> None:
    """Deliver the session's next queued run, unless a run other than `stopped` is active.

    Callees that wait for none of those that are active are delivered all the same.
    """
    lock_session(tx, session_id)
    first = execute(tx, _FIRST_MOVING, session_id=session_id, run_id=stopped).first()
    if first is None:
        return
    if first.is_queued:
        run = hold(tx, RUNS, _NEXT, session_id=session_id)
        if run is not None:
            _release(tx, run, now)
        return
    for callee in hold_all(tx, RUNS, _QUEUED_CALLEES, session_id=session_id):
        if _active_ahead(tx, session_id, stopped, callee.callers or ()) is None:
            _release(tx, callee, now)
            # The next one sees that it is active.
            save(tx)


def run_ahead(tx: Session, run_id: str) -> str | None:
    """Return the active run behind which a run waits; None if it does not."""
    run = run_row(tx, run_id)
    if run is None or not run.is_queued or run.status != RunStatus.pending.value:
        return None
    return _active_ahead(tx, run.session_id, run_id, run.callers or ())


def _run_ahead(tx: Session, session_id: str, run_id: str, callers: Collection[str]) -> str | None:
    if callers:
        return _active_ahead(tx, session_id, run_id, callers)
    first = execute(tx, _FIRST_MOVING, session_id=session_id, run_id=run_id).first()
    return None if first is None else str(first.id)


def _active_ahead(
    tx: Session, session_id: str, without: str, callers: Collection[str]
) -> str | None:
    """Return the first active run behind which a run with these callers waits."""
    active = execute(tx, _ACTIVE, session_id=session_id, run_id=without).scalars()
    ahead = [run_id for run_id in active if run_id not in callers]
    if callers and ahead:
        held_up = {run_id for ids in execute(tx, _CALLERS_OF_QUEUED).scalars() for run_id in ids}
        ahead = [run_id for run_id in ahead if run_id not in held_up]
    return ahead[0] if ahead else None


def _release(tx: Session, run: MutableRun, now: datetime) -> None:
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
