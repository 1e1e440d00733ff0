"""Pages of what was closed: decided, expired or cancelled, the latest first."""

from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlmodel import Session

from kern.contracts.reports import RequirementPage
from kern.contracts.viewer import Viewer
from kern.db.engine.cursors import Place, decode, encode
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.reading.inbox_filters import InboxFilter
from kern.db.reading.inbox_pages import MOST_SEARCHED
from kern.db.reading.requirement_outputs import requirements_of
from kern.db.reading.visibility import visible

_requirements = REQUIREMENTS.table


def list_closed(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    cursor: str | None,
    only: InboxFilter,
    now: datetime,
) -> RequirementPage:
    """Return the closed requirements that the viewer may see, the latest closed first.

    A requirement that is opened again leaves the list, and moves no page of it.

    Raises:
        InvalidInput: no such page returned the cursor.
    """
    at, requirement_id = _requirements.c.resolved_at, _requirements.c.id
    places = select(requirement_id, at.label("at")).where(
        at.is_not(None), *visible(viewer, _requirements), *only.conditions(now)
    )
    if cursor is not None:
        place = decode(cursor)
        same = and_(at == place.at, requirement_id < place.id)
        places = places.where(or_(at < place.at, same))
    size = limit + 1 if only.match is None else MOST_SEARCHED
    places = places.order_by(at.desc(), requirement_id.desc()).limit(size)
    page = places.subquery("page")
    query = _requirements.select().join(page, page.c.id == requirement_id)
    if only.match is not None:
        query = query.where(only.match)
    query = query.order_by(page.c.at.desc(), page.c.id.desc()).limit(limit + 1)
    records = list(rows(tx, REQUIREMENTS, query))
    last = records[limit - 1] if records[limit:] else None
    following = (
        None if last is None or last.resolved_at is None else Place(last.resolved_at, last.id)
    )
    if following is None and only.match is not None:
        reached = execute(tx, places.limit(1).offset(size - 1)).first()
        following = None if reached is None else Place(reached.at, reached.id)
    return RequirementPage(
        requirements=requirements_of(tx, records[:limit], viewer),
        next_cursor=None if following is None else encode(following),
    )
