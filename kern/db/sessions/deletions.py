"""Deleting a session with everything in it, but for the log of decisions."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, literal, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute, rows
from kern.db.engine.typed_tables import (
    COMMENTS,
    DELETED_RUNS,
    DELIVERIES,
    EVENTS,
    FEED,
    FILES,
    MESSAGES,
    OUTBOX,
    PEOPLE,
    REQUIREMENTS,
    RUNS,
    SESSIONS,
    SNOOZES,
    STEPS,
    TOOL_CALLS,
)
from kern.db.journal import audit_chain, events, outbox
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading.run_outputs import run_row
from kern.db.reading.sessions import find_session
from kern.db.runs.deleted import is_deleted
from kern.db.sessions import records
from kern.values.states import FINAL_RUN_STATUSES

# After this time, nothing executes for a deleted run any more.
_REMEMBERED = timedelta(days=90)

_runs, _sessions, _files, _outbox, _deleted = (
    RUNS.table,
    SESSIONS.table,
    FILES.table,
    OUTBOX.table,
    DELETED_RUNS.table,
)
_of_session = select(_runs.c.id).where(_runs.c.session_id == bindparam("session_id"))
_LOCK_RUNS = (
    select(_runs.c.id, _runs.c.status)
    .where(_runs.c.session_id == bindparam("session_id"))
    .order_by(_runs.c.number)
    .with_for_update()
)
_REMEMBER = _deleted.insert().from_select(
    ["id", "tenant", "deleted_at"],
    select(_runs.c.id, _runs.c.tenant, bindparam("now", type_=UtcDateTime)).where(
        _runs.c.session_id == bindparam("session_id")
    ),
)
# A row is deleted before the rows that it refers to.
_DELETE = (
    _outbox.delete().where(
        _outbox.c.run_id.in_(_of_session), _outbox.c.kind != DeliveryKind.cancel.value
    ),
    *(
        part.table.delete().where(part.table.c.run_id.in_(_of_session))
        for part in (
            *(DELIVERIES, EVENTS, FEED, MESSAGES, PEOPLE, SNOOZES, COMMENTS),
            *(REQUIREMENTS, TOOL_CALLS, STEPS),
        )
    ),
    _files.delete().where(_files.c.session_id == bindparam("session_id")),
    _runs.delete().where(_runs.c.session_id == bindparam("session_id")),
    _sessions.delete().where(_sessions.c.id == bindparam("session_id")),
)


# The deliveries that a deletion of this moment has left.
_LEFT = _outbox.select().where(
    _outbox.c.kind == DeliveryKind.cancel.value,
    _outbox.c.run_id.in_(
        select(_deleted.c.id).where(_deleted.c.deleted_at == bindparam("now", type_=UtcDateTime))
    ),
)


def delete(
    tx: Session, session_id: str, viewer: Viewer, now: datetime, deletion_id: str | None = None
) -> list[Delivery]:
    """Delete a session; return the deliveries that end the workflows of its unfinished runs.

    `deletion_id` is that of this deletion alone. It stays with the ids of the runs, so that a
    repetition is recognised.

    Decisions stay, because hashes and seals cover them; their notes, edits and values are erased.
    The ids of the runs stay for a while, so that an activity that still executes for one
    learns why its row is missing.

    Raises as `find_session`.
    """
    if deletion_id is not None and is_deleted(tx, deletion_id):
        # The acknowledgement of the commit was lost, so this is a repetition.
        return [outbox.delivery_of(row) for row in rows(tx, OUTBOX, _LEFT, now=now)]
    find_session(tx, session_id, viewer)
    # Writers lock a run before its session. Runs that were accepted meanwhile are seen only once
    # the session's row is locked, so the runs are locked again.
    execute(tx, _LOCK_RUNS, session_id=session_id)
    records.lock(tx, session_id, viewer)
    runs = (
        run_row(tx, run.id)
        for run in execute(tx, _LOCK_RUNS, session_id=session_id).all()
        if run.status not in FINAL_RUN_STATUSES
    )
    unfinished = [run for run in runs if run]
    for run in unfinished:
        events.announce_deletion(tx, run)
    execute(tx, _REMEMBER, session_id=session_id, now=now)
    if deletion_id is not None:
        add(tx, DELETED_RUNS, id=deletion_id, deleted_at=now)
    audit_chain.erase(tx, session_id)
    for statement in _DELETE:
        execute(tx, statement, session_id=session_id)
    _forget_old(tx, now)
    return [outbox.enqueue(tx, run, DeliveryKind.cancel, now) for run in unfinished]


def _forget_old(tx: Session, now: datetime) -> None:
    before = literal(now - _REMEMBERED, UtcDateTime)
    execute(tx, _deleted.delete().where(_deleted.c.deleted_at < before))
