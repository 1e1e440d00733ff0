"""Whether doing again what a run did could do harm: whether it, or a run inside it, did anything.

A step that a run executes is done again in a new run, which knows nothing of the first one.
"""

from sqlalchemy import bindparam, or_, select
from sqlmodel import Session

from kern.db.rows import execute, table_of
from kern.db.tables import ToolCallRow
from kern.states import Effect, ToolOutcome

_calls = table_of(ToolCallRow)
# Also one that was executed elsewhere, which has a result and no attempt.
_ACTED = (
    select(_calls.c.id)
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.effect == Effect.once.value,
        _calls.c.child_run_id.is_(None),
        or_(_calls.c.attempt > 0, _calls.c.outcome == ToolOutcome.result.value),
    )
    .limit(1)
)
_INSIDE = select(_calls.c.child_run_id).where(
    _calls.c.run_id == bindparam("run_id"), _calls.c.child_run_id.is_not(None)
)


def has_acted(tx: Session, run_id: str) -> bool:
    """Whether a call that must happen only once was begun in a run or inside it."""
    left = [run_id]
    while left:
        one = left.pop()
        if execute(tx, _ACTED, run_id=one).first() is not None:
            return True
        left.extend(execute(tx, _INSIDE, run_id=one).scalars())
    return False
