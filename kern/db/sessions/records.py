"""Sessions: reading, listing, naming them, and changing their state, each for its owner alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from pydantic import JsonValue
from sqlalchemy import literal, select, tuple_
from sqlmodel import Session

from kern.contracts.reports import LONGEST_PAGE
from kern.contracts.viewer import Viewer
from kern.db.engine import cursors
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.mutable_rows import MutableSession
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import MessageRecord, SessionRecord
from kern.db.engine.typed_tables import MESSAGES, RUNS, SESSIONS
from kern.db.reading.run_outputs import messages_of, summary_of
from kern.db.reading.search import matching
from kern.db.reading.sessions import check_session, find_session
from kern.db.reading.visibility import visible
from kern.db.runs import session_queue
from kern.errors import InvalidInput
from kern.run import Message, RunOutput
from kern.session import Session as SessionOutput
from kern.session import SessionPage
from kern.session_state import StateChange, apply_changes
from kern.values.canonical import clean_text
from kern.values.ids import require_id, require_text
from kern.values.states import RunStatus
from kern.values.validation import require_count

_LONGEST_NAME = 200
_SEARCHED = ("name", "user_id", "component_id", "id")
# Far more than can be applied while one of them is tried again.
_UPDATES_REMEMBERED = 100

_sessions, _runs, _messages = (SESSIONS.table, RUNS.table, MESSAGES.table)


def lock(tx: Session, session_id: str, viewer: Viewer) -> MutableSession:
    """Lock a session's row, under which its state changes. Raises as `find_session`."""
    row = session_queue.lock_session(tx, require_id("session_id", session_id))
    return check_session(row, session_id, viewer)


def read(tx: Session, session_id: str, viewer: Viewer) -> SessionOutput:
    """Read a session. Raises as `find_session`."""
    return session_of(find_session(tx, session_id, viewer))


def page(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    cursor: str | None = None,
    user_id: str | None = None,
    search: str | None = None,
) -> SessionPage:
    """Return the viewer's sessions, the latest first. No message is loaded.

    A session that changes between two pages moves to the front.

    Args:
        tx: The transaction.
        viewer: Whose sessions; an operator sees all of their tenant, or those of `user_id`.
        limit: How many at most.
        cursor: Where the page before ended.
        user_id: A filter for operators.
        search: A text in the name, the user, the component or the id, among the latest sessions.

    Raises:
        InvalidInput: the limit or the cursor makes no sense.
    """
    require_count("limit", limit, most=LONGEST_PAGE)
    conditions = visible(viewer, _sessions)
    query = _sessions.select().where(*conditions)
    if search is not None:
        query = query.where(*matching(_sessions, search, _SEARCHED, "updated_at", conditions))
    if viewer.is_operator and user_id is not None:
        query = query.where(_sessions.c.user_id == require_id("user_id", user_id))
    if cursor is not None:
        last = cursors.decode(cursor)
        place = tuple_(literal(last.at, UtcDateTime), literal(last.id))
        query = query.where(tuple_(_sessions.c.updated_at, _sessions.c.id) < place)
    query = query.order_by(_sessions.c.updated_at.desc(), _sessions.c.id.desc()).limit(limit + 1)
    sessions = [session_of(row) for row in rows(tx, SESSIONS, query)]
    return SessionPage(sessions=sessions[:limit], next_cursor=_end(sessions, limit))


def rename(tx: Session, session_id: str, viewer: Viewer, name: str, now: datetime) -> SessionOutput:
    """Give a session a name. Raises as `find_session`, and if the name is empty or too long."""
    new_name = clean_text(require_text("name", name)).strip()
    if len(new_name) > _LONGEST_NAME:
        message = f"name has {len(new_name)} characters: use {_LONGEST_NAME} at most."
        raise InvalidInput(message)
    row = lock(tx, session_id, viewer)
    row.name, row.updated_at = new_name, now
    return session_of(row)


def update_state(
    tx: Session,
    session_id: str,
    viewer: Viewer,
    changes: Sequence[StateChange],
    now: datetime,
    *,
    update_id: str,
) -> dict[str, JsonValue]:
    """Apply changes to a session's state, all of them or none, and return the new state.

    With an `update_id` that was applied before they are not applied again, as when nobody heard of
    the commit; the latest are remembered.

    Raises:
        InvalidInput: a value cannot be incremented or appended to; else as `find_session`.
    """
    row = lock(tx, session_id, viewer)
    applied = row.state_updates or []
    if changes and update_id not in applied:
        row.state = apply_changes(row.state, list(changes))
        row.state_version += 1
        row.state_updates = [*applied, update_id][-_UPDATES_REMEMBERED:]
        row.updated_at = now
    return row.state


def chat_history(
    tx: Session, session_id: str, viewer: Viewer, limit: int | None = None
) -> list[Message]:
    """Return the input and the answer of each completed run of a session.

    The messages in between are left out. Raises as `find_session`.
    """
    if limit is not None:
        require_count("limit", limit)
    find_session(tx, session_id, viewer)
    query = (
        select(_messages, _runs.c.content.label("answer"), _runs.c.finished_at)
        .join_from(_runs, _messages, _runs.c.id == _messages.c.run_id)
        .where(
            _runs.c.session_id == session_id,
            _runs.c.status == RunStatus.completed.value,
            # The inputs of child runs are not the user's.
            _runs.c.parent_run_id.is_(None),
            _messages.c.turn == 0,
            _messages.c.position == 0,
        )
        .order_by(_runs.c.number.desc())
        .limit(None if limit is None else (limit + 1) // 2)
    )
    inputs = execute(tx, query).all()[::-1]
    messages: list[Message] = []
    for row, message in zip(
        inputs, messages_of(tx, cast("list[MessageRecord]", inputs)), strict=True
    ):
        answer = Message(role="assistant", content=row.answer or "", created_at=row.finished_at)
        messages += [message, answer]
    return messages if limit is None else messages[-limit:]


def messages(
    tx: Session, session_id: str, viewer: Viewer, limit: int | None = None
) -> list[Message]:
    """Return the messages of all runs of a session, or the latest of them, in their order.

    Raises as `find_session`.
    """
    if limit is not None:
        require_count("limit", limit)
    find_session(tx, session_id, viewer)
    query = (
        _messages.select()
        .join_from(_messages, _runs, _runs.c.id == _messages.c.run_id)
        .where(_runs.c.session_id == session_id, _runs.c.parent_run_id.is_(None))
        .order_by(_runs.c.number.desc(), _messages.c.turn.desc(), _messages.c.position.desc())
        .limit(limit)
    )
    return messages_of(tx, reversed(list(rows(tx, MESSAGES, query))))


def latest_runs(tx: Session, session_id: str, limit: int) -> list[RunOutput]:
    """Return the last runs of a session, the latest first, each from its own row alone."""
    query = _runs.select().where(_runs.c.session_id == session_id, _runs.c.parent_run_id.is_(None))
    query = query.order_by(_runs.c.number.desc()).limit(limit)
    return [summary_of(row) for row in rows(tx, RUNS, query)]


def session_of(row: SessionRecord) -> SessionOutput:
    """Build a session's output."""
    return SessionOutput(
        session_id=row.id,
        tenant=row.tenant,
        user_id=row.user_id,
        component_id=row.component_id,
        name=row.name,
        session_state=dict(row.state),
        summary=row.summary,
        run_count=row.next_number - 1,
        forked_from=row.forked_from,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _end(sessions: list[SessionOutput], limit: int) -> str | None:
    if len(sessions) <= limit:
        return None
    last = sessions[limit - 1]
    return cursors.encode(cursors.Place(last.updated_at, last.session_id))
