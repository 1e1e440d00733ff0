"""Whether an activity finds no rows because they were deleted.

Rows that are merely not here are another matter: a worker with another database took the task, and
the right one takes it at the next try.
"""

from kern.db import deletions
from kern.db.engine import Database
from kern.process.logs import get_logger

_log = get_logger("kern.activities")


async def is_deleted(db: Database, run_id: str) -> bool:
    """Whether a run was deleted with its session, so that nothing is left to be done for it."""
    found = await db.read(lambda tx: deletions.is_deleted(tx, run_id))
    if found:
        _log.info("run_was_deleted", run_id=run_id)
    return found
