"""Finds a session for a viewer."""

from typing import TypeVar

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import SessionRecord
from kern.db.engine.typed_tables import SESSIONS
from kern.errors import NotFound
from kern.values.ids import require_id

_SESSION = SESSIONS.table.select().where(SESSIONS.table.c.id == bindparam("session_id"))
SessionT = TypeVar("SessionT", bound=SessionRecord)


def find_session(tx: Session, session_id: str, viewer: Viewer) -> SessionRecord:
    """Return a session that the viewer may see, for reading.

    Raises:
        NotFound: there is no such session.
        NotAllowed: it belongs to somebody else.
        InvalidInput: the id can be none, or the session is another component's.
    """
    query = rows(tx, SESSIONS, _SESSION, session_id=require_id("session_id", session_id))
    return check_session(next(query, None), session_id, viewer)


def check_session(row: SessionT | None, session_id: str, viewer: Viewer) -> SessionT:
    """Return a session's row if the viewer may see it. Raises as `find_session`."""
    missing = NotFound(
        f"There is no session with the id {session_id!r}. `kern sessions list` lists those there "
        "are."
    )
    component_id = None if row is None else row.component_id
    subject = f"Session {session_id!r}"
    return viewer.check(row, missing, subject=subject, component_id=component_id)
