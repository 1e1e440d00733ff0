"""What a run did, and the runs inside it, that doing it again would do once more.

A step that a run executes is done again in a new run, which knows nothing of the first one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from sqlalchemy import bindparam, or_, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import STEPS, TOOL_CALLS
from kern.values.states import Effect, ToolOutcome

_calls, _steps = TOOL_CALLS.table, STEPS.table
_HOW = {ToolOutcome.result.value: "done", ToolOutcome.error.value: "failed"}
_UNKNOWN = "begun; it may have happened"
# Beyond so many different ones, nobody reads on.
_MOST = 10
# Also one that was executed elsewhere, which has a result and no attempt.
_ONCE = (
    select(_calls.c.name, _calls.c.outcome)
    .where(
        _calls.c.effect == Effect.once.value,
        _calls.c.child_run_id.is_(None),
        or_(_calls.c.attempt > 0, _calls.c.outcome == ToolOutcome.result.value),
    )
    .order_by(_calls.c.id)
)
_ACTED = _ONCE.where(_calls.c.run_id == bindparam("run_id"))
_ONE = _ACTED.limit(1)
_INSIDE = select(_calls.c.child_run_id).where(
    _calls.c.run_id == bindparam("run_id"), _calls.c.child_run_id.is_not(None)
)
_held = select(_steps.c.id).where(_steps.c.id == bindparam("step_id")).cte("held", recursive=True)
_HELD = _held.union_all(select(_steps.c.id).where(_steps.c.parent_id == _held.c.id))
_EXECUTED_BY = (
    select(_calls.c.child_run_id)
    .join(_HELD, _HELD.c.id == _calls.c.step_id)
    .where(_calls.c.child_run_id.is_not(None))
)
_STEPS_IN = _ONCE.join(_HELD, _HELD.c.id == _calls.c.step_id).where(
    _HELD.c.id != bindparam("step_id")
)


def told(name: str, outcome: str | None) -> str:
    """Say of a call that was begun how it ended."""
    return f"{name} ({_HOW.get(outcome or '', _UNKNOWN)})"


def has_acted(tx: Session, run_id: str) -> bool:
    """Whether a call that must happen only once was begun in a run or inside it."""
    return any(execute(tx, _ONE, run_id=one).first() for one in _with_inside(tx, [run_id]))


def done_in_step(tx: Session, step_id: str) -> list[str]:
    """Return what happened in a step that must happen only once.

    The steps that it holds, and what runs did that executed it or them; not its own function, which
    is what is asked about.
    """
    held = execute(tx, _STEPS_IN, step_id=step_id)
    found = Counter(told(call.name, call.outcome) for call in held)
    for one in _with_inside(tx, execute(tx, _EXECUTED_BY, step_id=step_id).scalars()):
        found.update(told(call.name, call.outcome) for call in execute(tx, _ACTED, run_id=one))
    named = [one if times == 1 else f"{one} {times} times" for one, times in found.items()]
    rest = [f"{len(named) - _MOST} others"] if len(named) > _MOST else []
    return [*named[:_MOST], *rest]


def _with_inside(tx: Session, run_ids: Iterable[str]) -> Iterator[str]:
    """Yield runs, and all that are inside them at any depth."""
    left = list(run_ids)
    while left:
        one = left.pop()
        yield one
        left.extend(execute(tx, _INSIDE, run_id=one).scalars())
