"""How a run's time is split: working, and waiting for people."""

from datetime import datetime

from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.records import RunRecord
from kern.values.states import RunStatus


def begin(run: MutableRun, at: datetime) -> None:
    """Count from here on, unless the run has begun before."""
    if run.started_at is None:
        run.started_at = run.counted_at = at


def count(run: MutableRun, now: datetime) -> None:
    """Count the time so far for the status that the run is about to leave."""
    run.working_seconds, run.waiting_seconds = spent(run, now)
    run.counted_at = now if run.counted_at is not None else None


def spent(run: RunRecord, now: datetime) -> tuple[float, float]:
    """Return the seconds of work and of waiting for people, up to `now` or the run's end."""
    working, waiting = run.working_seconds, run.waiting_seconds
    if run.counted_at is None or RunStatus(run.status).is_final:
        return working, waiting
    # The clocks of two machines may differ.
    elapsed = max(0.0, (now - run.counted_at).total_seconds())
    if run.status == RunStatus.paused.value:
        return working, waiting + elapsed
    return working + elapsed, waiting
