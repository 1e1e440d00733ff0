"""Pages of the log of decisions, the latest first."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, bindparam, or_, select, tuple_
from sqlmodel import Session

from kern.contracts.reports import DecisionPage
from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.typed_tables import DECISIONS
from kern.db.reading.listings import decision_of
from kern.errors import NotFound
from kern.values.ids import require_id
from kern.values.names import name_key
from kern.values.states import Verdict

_decisions = DECISIONS.table
_PLACE = select(_decisions.c.at, _decisions.c.id, _decisions.c.tenant).where(
    _decisions.c.id == bindparam("decision_id")
)


@dataclass(frozen=True)
class DecisionFilter:
    """What a page of the log is narrowed to; None narrows nothing.

    Attributes:
        by: A subject, or a name that somebody typed.
        since: This moment and later.
        until: Before this moment.
    """

    by: str | None = None
    tool: str | None = None
    verdict: Verdict | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_decisions(
    tx: Session, viewer: Viewer, *, limit: int, before: str | None, only: DecisionFilter
) -> DecisionPage:
    """Return the decisions of the viewer's tenant, the latest first.

    Raises:
        NotFound: there is no decision `before` in it.
    """
    query = _narrowed(only)
    if viewer.tenant is not None:
        query = query.where(_decisions.c.tenant == viewer.tenant)
    if before is not None:
        at, decision_id = _place_of(tx, viewer, before)
        # A row comparison is one range of the index; SQLite takes it as well.
        query = query.where(tuple_(_decisions.c.at, _decisions.c.id) < tuple_(at, decision_id))
    query = query.order_by(_decisions.c.at.desc(), _decisions.c.id.desc()).limit(limit + 1)
    records = list(rows(tx, DECISIONS, query))
    return DecisionPage(
        decisions=[decision_of(row) for row in records[:limit]],
        next_cursor=records[limit - 1].id if records[limit:] else None,
    )


def _narrowed(only: DecisionFilter) -> Select[tuple[object, ...]]:
    query: Select[tuple[object, ...]] = _decisions.select()
    if only.by is not None:
        subjects = {only.by, name_key(only.by)}
        query = query.where(or_(*(_decisions.c.subject == subject for subject in subjects)))
    if only.tool is not None:
        query = query.where(_decisions.c.tool_name == only.tool)
    if only.verdict is not None:
        query = query.where(_decisions.c.verdict == only.verdict.value)
    if only.since is not None:
        query = query.where(_decisions.c.at >= only.since)
    if only.until is not None:
        query = query.where(_decisions.c.at < only.until)
    return query


def _place_of(tx: Session, viewer: Viewer, decision_id: str) -> tuple[datetime, str]:
    row = execute(tx, _PLACE, decision_id=require_id("before", decision_id)).first()
    if row is None or viewer.tenant not in (None, row.tenant):
        message = f"There is no decision with the id {decision_id!r}: pass `next` of a page."
        raise NotFound(message)
    return row.at, row.id
