"""What an agent said in the turn in which it asked for a call."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import MESSAGES, REQUIREMENTS, TOOL_CALLS
from kern.db.reading.visibility import visible

_requirements, _calls, _messages = REQUIREMENTS.table, TOOL_CALLS.table, MESSAGES.table
# So much of it is read: rows show a sentence.
_MOST = 400


def agent_words(tx: Session, requirement_ids: Sequence[str], viewer: Viewer) -> dict[str, str]:
    """Return the beginnings of what agents said as they asked, by the ids of the requirements."""
    if not requirement_ids:
        return {}
    query = (
        select(_requirements.c.id, _messages.c.content)
        .join(_calls, _calls.c.id == _requirements.c.tool_call_id)
        .join(
            _messages,
            (_messages.c.run_id == _calls.c.run_id)
            & (_messages.c.turn == _calls.c.turn)
            & (_messages.c.position == 0)
            & (_messages.c.role == "assistant"),
        )
        .where(_requirements.c.id.in_(requirement_ids), *visible(viewer, _requirements))
    )
    return {row.id: row.content[:_MOST] for row in execute(tx, query) if row.content}
