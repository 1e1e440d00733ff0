"""What people decided about calls like one: of the same tool, about as much, in the last months.

They are read from an index when they are asked for, the latest few hundred at most: no other page
costs anything for them, they are never out of date, and however many there are makes no difference.
"""

from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import select
from sqlmodel import Session

from kern.contracts.reports import SimilarDecisions
from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RequirementRecord
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.reading.visibility import visible
from kern.values.states import RequirementStatus, Verdict

SIMILAR_DAYS = 90
MOST_COMPARED = 200
_requirements = REQUIREMENTS.table
_REFUSING = {item.value for item in (Verdict.reject, Verdict.skip, Verdict.fail, Verdict.unknown)}


def similar_decisions(
    tx: Session, viewer: Viewer, row: RequirementRecord, now: datetime
) -> SimilarDecisions | None:
    """Return what people decided about calls like that of a requirement; None without any."""
    columns = _requirements.c
    query = (
        select(columns.verdict, columns.current_digest, columns.created_at, columns.resolved_at)
        .where(
            columns.tenant == row.tenant,
            columns.tool_name == row.tool_name,
            # None is `IS NULL`, which an index serves.
            columns.amount_band == row.amount_band,
            columns.resolved_at > now - timedelta(days=SIMILAR_DAYS),
            columns.status == RequirementStatus.resolved.value,
            columns.kind == row.kind,
            columns.unit.is_not_distinct_from(row.unit),
            columns.id != row.id,
            *visible(viewer, _requirements),
        )
        .order_by(columns.resolved_at.desc())
        .limit(MOST_COMPARED)
    )
    closed = list(execute(tx, query))
    if not closed:
        return None
    let_through = [item for item in closed if item.verdict not in _REFUSING]
    return SimilarDecisions(
        tool=row.tool_name,
        band=row.amount_band,
        unit=row.unit,
        days=SIMILAR_DAYS,
        approved=len(let_through),
        edited=sum(item.current_digest is not None for item in let_through),
        rejected=len(closed) - len(let_through),
        median_seconds=median(
            (item.resolved_at - item.created_at).total_seconds() for item in closed
        ),
        is_cut=len(closed) == MOST_COMPARED,
    )
