"""What a session is named after."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db import sessions
from kern.db.outputs import message_rows, messages_of
from kern.db.rows import execute, table_of
from kern.db.tables import RunRow
from kern.db.viewer import OPERATOR
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
    session = sessions.find(tx, session_id, OPERATOR)
    run_ids = execute(tx, _FIRST, session_id=session_id).scalars().all()
    found = messages_of(tx, (row for one in run_ids for row in message_rows(tx, one)))
    return session.component_id, tuple(message for message in found if message.role != "tool")
