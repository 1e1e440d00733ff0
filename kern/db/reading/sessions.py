"""Finds a session for whoever asks."""

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows, table_of
from kern.db.engine.tables import SessionRow
from kern.errors import NotFound
from kern.values.ids import require_id

_SESSION = table_of(SessionRow).select().where(table_of(SessionRow).c.id == bindparam("session_id"))


def find_session(tx: Session, session_id: str, viewer: Viewer) -> SessionRow:
    """Return a session that the viewer may see, only to look at.

    Raises:
        NotFound: there is no such session.
        NotAllowed: it belongs to somebody else.
        InvalidInput: the id can be none, or the session is another component's.
    """
    query = rows(tx, SessionRow, _SESSION, session_id=require_id("session_id", session_id))
    return check_session(next(query, None), session_id, viewer)


def check_session(row: SessionRow | None, session_id: str, viewer: Viewer) -> SessionRow:
    """Return the row that was found, if the viewer may see it. Raises as `find_session`."""
    if row is None:
        message = (
            f"There is no session with the id {session_id!r}. `kern sessions list` lists those "
            "there are."
        )
        raise NotFound(message)
    viewer.check(f"Session {session_id!r}", row.user_id, row.component_id)
    return row
