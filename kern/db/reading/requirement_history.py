"""Reads what happened to requirements: their events, decisions and comments, in order.

An event says what was done, by whom and when; the words are where they are kept once, with the
decision or the comment. So each decision stands for its event, which says less.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam
from sqlmodel import Session

from kern.contracts.reports import Decision
from kern.contracts.triage import Comment, CommentPage, HistoryEntry, HistoryKind
from kern.db.engine.cursors import Place, decode, encode
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import EventRecord
from kern.db.engine.typed_tables import COMMENTS, EVENTS
from kern.values.principals import KERN, Principal
from kern.values.states import PrincipalKind, Verdict

# Of so many events at most, the latest, the history of a requirement is made.
MOST_EVENTS = 1_000
# A statement may have some 32,000 parameters.
_BATCH = 10_000
_events, _comments = EVENTS.table, COMMENTS.table
_EVENTS = (
    _events.select()
    .where(_events.c.requirement_id.in_(bindparam("ids", expanding=True)))
    .order_by(_events.c.created_at.desc(), _events.c.run_id, _events.c.seq.desc())
    .limit(bindparam("most"))
)
_WORDS = _comments.select().where(_comments.c.id.in_(bindparam("ids", expanding=True)))
_OF_REQUIREMENT = (
    _comments.select()
    .where(_comments.c.requirement_id == bindparam("of_requirement"))
    .order_by(_comments.c.at, _comments.c.id)
)
# What stands in the history as an event says it.
EVENT_KINDS = {
    "requirement_opened": HistoryKind.opened,
    "requirement_reminded": HistoryKind.reminded,
    "requirement_escalated": HistoryKind.escalated,
    "requirement_claimed": HistoryKind.claimed,
    "requirement_released": HistoryKind.released,
    "requirement_delegated": HistoryKind.delegated,
    "requirement_snoozed": HistoryKind.snoozed,
    "requirement_woken": HistoryKind.woken,
    "requirement_commented": HistoryKind.commented,
    "requirement_expired": HistoryKind.expired,
    "requirement_cancelled": HistoryKind.cancelled,
    "approved_not_executed": HistoryKind.not_executed,
}


def history_of(
    tx: Session, requirement_ids: Sequence[str], decisions: Sequence[Decision]
) -> list[HistoryEntry]:
    """Return what happened to requirements, the oldest first.

    `decisions` are those about them, in the order of the log.
    """
    events = [
        event
        for start in range(0, len(requirement_ids), _BATCH)
        for event in reversed(_events_of(tx, requirement_ids[start : start + _BATCH]))
    ]
    words = _words_of(tx, events)
    # The event of a deadline says what the deadline decided.
    expired = {
        (event.requirement_id, event.created_at)
        for event in events
        if event.kind == "requirement_expired"
    }
    entries = [
        *(
            _decided(item)
            for item in decisions
            if item.by != KERN or (item.requirement_id, item.at) not in expired
        ),
        *(_entry(event, words) for event in events if event.kind in EVENT_KINDS),
    ]
    # What happened at one moment stays in order: a decision before what it caused.
    return sorted(entries, key=lambda entry: entry.at)


def _events_of(tx: Session, ids: Sequence[str]) -> list[EventRecord]:
    """Return the events about some requirements, the latest first."""
    return list(rows(tx, EVENTS, _EVENTS, ids=list(ids), most=MOST_EVENTS * len(ids)))


def comments_of(
    tx: Session, requirement_id: str, *, limit: int, cursor: str | None = None
) -> CommentPage:
    """Return a page of the comments about a requirement, the oldest first.

    Raises:
        InvalidInput: no such page returned the cursor.
    """
    query = _OF_REQUIREMENT.limit(limit + 1)
    if cursor is not None:
        place = decode(cursor)
        same = (_comments.c.at == place.at) & (_comments.c.id > place.id)
        query = query.where((_comments.c.at > place.at) | same)
    comments = [comment_of(row) for row in execute(tx, query, of_requirement=requirement_id)]
    last = comments[limit - 1] if comments[limit:] else None
    return CommentPage(
        comments=comments[:limit],
        next_cursor=None if last is None else encode(Place(last.at, last.id)),
    )


def comment_of(row: Row[Any]) -> Comment:
    """Return a comment from its row."""
    by = Principal.model_construct(
        issuer=row.issuer,
        subject=row.subject,
        name=row.author,
        kind=PrincipalKind(row.author_kind),
        tenant=row.tenant,
    )
    return Comment.model_construct(
        id=row.id, requirement_id=row.requirement_id, by=by, text=row.text, at=row.at
    )


def _decided(item: Decision) -> HistoryEntry:
    is_withdrawn = item.verdict is Verdict.withdraw
    return HistoryEntry(
        requirement_id=item.requirement_id,
        kind=HistoryKind.withdrawn if is_withdrawn else HistoryKind.decided,
        by=item.by,
        text=item.note or "",
        at=item.at,
        verdict=item.verdict,
        edit=item.edit,
    )


def _words_of(tx: Session, events: Sequence[EventRecord]) -> Mapping[str, str]:
    ids = [str(event.data["comment"]) for event in events if event.data.get("comment")]
    if not ids:
        return {}
    return {row.id: row.text for row in execute(tx, _WORDS, ids=ids)}


def _entry(event: EventRecord, words: Mapping[str, str]) -> HistoryEntry:
    data = event.data
    by, to, until, verdict = (data.get(name) for name in ("by", "to", "until", "verdict"))
    text = words.get(str(data.get("comment")), "")
    if event.kind == "approved_not_executed":
        text = str(data.get("why") or "")
    return HistoryEntry(
        requirement_id=event.requirement_id or "",
        kind=EVENT_KINDS[event.kind],
        by=None if by is None else str(by),
        text=text,
        at=event.created_at,
        verdict=None if verdict is None else Verdict(str(verdict)),
        to=_names(to),
        until=None if until is None else datetime.fromisoformat(str(until)),
    )


def _names(to: object) -> tuple[str, ...]:
    if isinstance(to, list):
        return tuple(str(name) for name in to)
    return () if to is None else (str(to),)
