"""Which runs were deleted with their session, not long ago."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import DELETED_RUNS

_deleted = DELETED_RUNS.table
_DELETED = select(_deleted.c.tenant).where(_deleted.c.id == bindparam("run_id"))


def is_deleted(tx: Session, run_id: str) -> bool:
    """Whether a run was deleted with its session, not long ago."""
    return tenant_of_deleted(tx, run_id) is not None


def tenant_of_deleted(tx: Session, run_id: str) -> str | None:
    """Return the tenant of a run that was deleted with its session; None if it was not."""
    tenant: str | None = execute(tx, _DELETED, run_id=run_id).scalars().first()
    return tenant
