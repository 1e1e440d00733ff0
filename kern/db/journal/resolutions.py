"""Compares how requirements say they were decided with the log of decisions.

What a requirement shows of its resolution is a copy of the last decision about it: who made it,
when, what it says, and its note. The chain vouches for the decision, and this for the copy.
"""

from typing import Any

from sqlalchemy import Row, and_, bindparam, func, or_, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import DECISIONS, REQUIREMENTS, RUNS
from kern.errors import AuditBroken
from kern.values.principals import KERN
from kern.values.states import RequirementStatus

_requirements, _decisions, _runs = (REQUIREMENTS.table, DECISIONS.table, RUNS.table)
_later = _decisions.alias("later")
_LAST = (
    select(func.max(_later.c.position))
    .where(_later.c.requirement_id == _requirements.c.id)
    .scalar_subquery()
)
_IS_DECIDED = _requirements.c.status.in_(
    [RequirementStatus.resolved.value, RequirementStatus.expired.value]
)
# Pending and cancelled ones were decided by nobody.
_CLAIMS = or_(
    _requirements.c.resolved_by.is_not(None),
    _requirements.c.resolved_note.is_not(None),
    _requirements.c.verdict.is_not(None),
)
_DIFFERS = or_(
    _decisions.c.id.is_(None),
    _decisions.c.actor.is_distinct_from(_requirements.c.resolved_by),
    _decisions.c.verdict.is_distinct_from(_requirements.c.verdict),
    _decisions.c.note.is_distinct_from(_requirements.c.resolved_note),
    _decisions.c.at.is_distinct_from(_requirements.c.resolved_at),
    # Only a deadline lets a requirement expire.
    and_(
        _requirements.c.status == RequirementStatus.expired.value,
        _decisions.c.actor != KERN,
    ),
)
_DIFFERENT = (
    select(
        _requirements.c.id,
        _requirements.c.run_id,
        _requirements.c.status,
        _requirements.c.verdict,
        _requirements.c.resolved_by,
        _decisions.c.seq,
        _decisions.c.actor,
        _decisions.c.verdict.label("decided"),
    )
    .select_from(
        _requirements.outerjoin(
            _decisions,
            and_(_decisions.c.requirement_id == _requirements.c.id, _decisions.c.position == _LAST),
        )
    )
    .where(or_(and_(_IS_DECIDED, _DIFFERS), and_(~_IS_DECIDED, _CLAIMS)))
    .order_by(_requirements.c.id)
    .limit(1)
)
_OF_TREE = _DIFFERENT.where(
    _requirements.c.run_id.in_(
        select(_runs.c.id).where(
            (_runs.c.root_run_id == bindparam("root")) | (_runs.c.id == bindparam("root"))
        )
    )
)
_OF_TENANT = _DIFFERENT.where(_requirements.c.tenant == bindparam("tenant"))


def check_resolutions(
    tx: Session, root_run_id: str | None = None, tenant: str | None = None
) -> None:
    """Compare all requirements with the log, or those of a run's tree or of a tenant.

    Raises:
        AuditBroken: one says something else than the log; the message names the first.
    """
    if root_run_id is not None:
        different = execute(tx, _OF_TREE, root=root_run_id).first()
    elif tenant is not None:
        different = execute(tx, _OF_TENANT, tenant=tenant).first()
    else:
        different = execute(tx, _DIFFERENT).first()
    if different is not None:
        raise AuditBroken(_message(different))


def _message(row: Row[Any]) -> str:
    claim = f"is {row.status}"
    if row.verdict is not None or row.resolved_by is not None:
        claim += f", with {row.verdict!r} by {row.resolved_by!r}"
    log_text = "knows of no decision about it"
    if row.seq is not None:
        log_text = f"has {row.decided!r} by {row.actor!r} as the last one, in decision {row.seq}"
    return (
        f"Requirement {row.id!r} of run {row.run_id!r} says that it {claim}, and the log "
        f"{log_text}: its verdict, name, note, time or status was changed after it was decided. "
        "The log is right."
    )
