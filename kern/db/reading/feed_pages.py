"""Reads the feed, with whom each entry concerns."""

from collections.abc import Collection, Sequence

from sqlalchemy import BigInteger, bindparam, select
from sqlmodel import Session

from kern.contracts.feed import Audience, FeedEntry
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import FeedRecord
from kern.db.engine.typed_tables import FEED, PEOPLE
from kern.db.reading.visibility import visible
from kern.values.states import PersonRole

_feed, _people = FEED.table, PEOPLE.table
_AFTER = _feed.c.seq > bindparam("after", type_=BigInteger)
_AUDIENCES = select(_people.c.requirement_id, _people.c.kind, _people.c.key, _people.c.role).where(
    _people.c.requirement_id.in_(bindparam("ids", expanding=True))
)


def entries_after(
    tx: Session,
    after: int,
    limit: int,
    viewer: Viewer = OPERATOR,
    kinds: Collection[str] | None = None,
) -> list[FeedEntry]:
    """Return the next entries that a viewer reaches, in order, in two statements."""
    conditions = visible(viewer, _feed)
    if kinds is not None:
        conditions.append(_feed.c.kind.in_(sorted(kinds)))
    query = _feed.select().where(_AFTER, *conditions).order_by(_feed.c.seq).limit(limit)
    records = list(rows(tx, FEED, query, after=after))
    audiences = _audiences(tx, {row.requirement_id for row in records if row.requirement_id})
    nobody = Audience()
    return [_entry(row, audiences.get(row.requirement_id or "", nobody)) for row in records]


def _entry(row: FeedRecord, audience: Audience) -> FeedEntry:
    return FeedEntry(
        seq=row.seq or 0,
        kind=row.kind,
        tenant=row.tenant,
        user_id=row.user_id,
        component_id=row.component_id,
        requirement_id=row.requirement_id,
        run_id=row.run_id,
        subject=row.subject,
        data=dict(row.data),
        at=row.at,
        audience=audience,
    )


def _audiences(tx: Session, requirement_ids: Collection[str]) -> dict[str, Audience]:
    if not requirement_ids:
        return {}
    entries: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]] = {}
    result: Sequence[tuple[str, str, str, str]] = [
        (row.requirement_id, row.kind, row.key, row.role)
        for row in execute(tx, _AUDIENCES, ids=sorted(requirement_ids))
    ]
    for requirement_id, kind, key, role in result:
        deciding, excluded = entries.setdefault(requirement_id, ([], []))
        (excluded if role == PersonRole.excluded.value else deciding).append((kind, key))
    return {
        requirement_id: Audience(deciding=frozenset(deciding), excluded=frozenset(excluded))
        for requirement_id, (deciding, excluded) in entries.items()
    }
