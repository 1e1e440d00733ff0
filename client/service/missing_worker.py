"""Says so when a run that somebody waits for waits itself: for a worker, or behind another run."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta

from kern.contracts.reports import AwaitedWorker
from kern.db.engine.store import Store
from kern.db.runs import session_queue
from kern.db.runs.awaited_workers import awaited_by
from kern.errors import KernError
from kern.process.clock import utc_now
from kern.process.logs import OnceLog, get_logger

LOGGER = "kern.client.workers"

_log = OnceLog(get_logger(LOGGER))
_FIRST_SECONDS, _LONGEST_SECONDS = 3.0, 60.0
_QUEUED = (
    "the session's runs execute one after another; if the code of that run waits for this one, "
    'neither ever ends: start it with on_busy="parallel", or in another session'
)


@contextmanager
def reporting_missing_worker(db: Store, run_id: str) -> Generator[None]:
    """Warn once of each if, within the block, a run waits for some seconds for one of these."""
    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    # Most waits end before this, and cost nothing.
    timer = loop.call_later(
        _FIRST_SECONDS, lambda: tasks.append(loop.create_task(_watch(db, run_id)))
    )
    try:
        yield
    finally:
        timer.cancel()
        for task in tasks:
            task.cancel()


async def _watch(db: Store, run_id: str) -> None:
    wait, is_queue_reported = _FIRST_SECONDS, False
    while True:
        with suppress(KernError):
            awaited, ahead = await db.read(
                lambda tx: (
                    awaited_by(tx, run_id, utc_now(), grace=timedelta(0)),
                    session_queue.run_ahead(tx, run_id),
                )
            )
            if ahead is not None and not is_queue_reported:
                is_queue_reported = True
                _log.warn("run_waits_behind", run_id=run_id, behind=ahead, why=_QUEUED)
            missing = [item for item in awaited if not item.is_parked]
            for item in missing:
                _log.warn("worker_missing", run_id=item.run_id, why=_reason(item))
            if missing:
                return
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_SECONDS)


def _reason(item: AwaitedWorker) -> str:
    if item.tool is None:
        problem = f"no worker polls {item.component_id}"
    else:
        problem = f"no worker of {item.component_id} has {item.tool}"
    return f"{problem}: the run waits until one starts with an app that declares it"
