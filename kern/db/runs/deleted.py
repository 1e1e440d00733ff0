"""Which runs were deleted with their session, not long ago."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import DELETED_RUNS

_deleted = DELETED_RUNS.table
_IS_DELETED = select(_deleted.c.id).where(_deleted.c.id == bindparam("run_id"))


def is_deleted(tx: Session, run_id: str) -> bool:
    """Whether a run was deleted with its session, not long ago."""
    return execute(tx, _IS_DELETED, run_id=run_id).first() is not None
