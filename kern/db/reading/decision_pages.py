"""Pages of the log of decisions, the latest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sqlalchemy import ColumnElement, bindparam, literal, select, tuple_
from sqlmodel import Session

from kern.contracts.reports import DecisionPage
from kern.contracts.viewer import Viewer
from kern.db.engine.columns import UtcDateTime
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
    query = _decisions.select().where(*_conditions(only))
    if viewer.tenant is not None:
        query = query.where(_decisions.c.tenant == viewer.tenant)
    if before is not None:
        at, decision_id = _place_of(tx, viewer, before)
        place = tuple_(literal(at, UtcDateTime), literal(decision_id))
        query = query.where(tuple_(_decisions.c.at, _decisions.c.id) < place)
    query = query.order_by(_decisions.c.at.desc(), _decisions.c.id.desc()).limit(limit + 1)
    # Each spelling of a name is a range of the index of its own.
    queries = [query.where(_decisions.c.subject == subject) for subject in _subjects(only)]
    matching = chain.from_iterable(rows(tx, DECISIONS, part) for part in queries or [query])
    records = sorted(matching, key=lambda row: (row.at, row.id), reverse=True)[: limit + 1]
    return DecisionPage(
        decisions=[decision_of(row) for row in records[:limit]],
        next_cursor=records[limit - 1].id if records[limit:] else None,
    )


def _subjects(only: DecisionFilter) -> set[str]:
    """Return the subjects of a name; of what somebody typed, the key by which it is compared."""
    return set() if only.by is None else {only.by, name_key(only.by)}


def _conditions(only: DecisionFilter) -> Iterator[ColumnElement[bool]]:
    if only.tool is not None:
        yield _decisions.c.tool_name == only.tool
    if only.verdict is not None:
        yield _decisions.c.verdict == only.verdict.value
    if only.since is not None:
        yield _decisions.c.at >= only.since
    if only.until is not None:
        yield _decisions.c.at < only.until


def _place_of(tx: Session, viewer: Viewer, decision_id: str) -> tuple[datetime, str]:
    row = execute(tx, _PLACE, decision_id=require_id("before", decision_id)).first()
    if row is None or viewer.tenant not in (None, row.tenant):
        message = f"There is no decision with the id {decision_id!r}: pass `next` of a page."
        raise NotFound(message)
    return row.at, row.id
