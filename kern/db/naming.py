"""Naming a session after what is said in it."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db import order
from kern.db.outputs import message_rows, messages_of, session_row
from kern.db.rows import execute, table_of
from kern.db.tables import RunRow
from kern.errors import NotFound
from kern.run import Message

_FIRST_RUNS = 3

_runs = table_of(RunRow)
_FIRST = (
    select(_runs.c.id)
    .where(_runs.c.session_id == bindparam("session_id"), _runs.c.parent_run_id.is_(None))
    .order_by(_runs.c.number)
    .limit(_FIRST_RUNS)
)


def load(tx: Session, session_id: str) -> tuple[str, tuple[Message, ...]]:
    """Return the session's component, and what was said in its first runs.

    Raises:
        NotFound: there is no such session.
    """
    session = session_row(tx, session_id)
    if session is None:
        raise _no_session(session_id)
    run_ids = execute(tx, _FIRST, session_id=session_id).scalars().all()
    found = messages_of(tx, (row for one in run_ids for row in message_rows(tx, one)))
    return session.component_id, tuple(message for message in found if message.role != "tool")


def store(tx: Session, session_id: str, name: str, now: datetime) -> None:
    """Keep a session's name.

    Raises:
        NotFound: there is no such session.
    """
    session = order.lock_session(tx, session_id)
    if session is None:
        raise _no_session(session_id)
    session.name, session.updated_at = name, now


def _no_session(session_id: str) -> NotFound:
    return NotFound(f"There is no session with the id {session_id!r}.")
