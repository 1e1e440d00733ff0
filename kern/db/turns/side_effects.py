"""Side effects of steps and runs that executing them again would repeat.

A step that a run executes is repeated in a new run, which knows nothing of the first one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from sqlalchemy import bindparam, or_, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import STEPS, TOOL_CALLS
from kern.values.states import Effect, ToolOutcome

_calls, _steps = TOOL_CALLS.table, STEPS.table
_ENDINGS = {ToolOutcome.result.value: "done", ToolOutcome.error.value: "failed"}
_UNKNOWN = "begun; it may have happened"
# Nobody reads a longer list.
_LONGEST_LIST = 10
# A call that was executed elsewhere has a result and no attempt.
_ONCE = (
    select(_calls.c.name, _calls.c.outcome)
    .where(
        _calls.c.effect == Effect.once.value,
        _calls.c.child_run_id.is_(None),
        or_(_calls.c.attempt > 0, _calls.c.outcome == ToolOutcome.result.value),
    )
    .order_by(_calls.c.id)
)
_EFFECTS = _ONCE.where(_calls.c.run_id == bindparam("run_id"))
_ANY_EFFECT = _EFFECTS.limit(1)
_CHILDREN = select(_calls.c.child_run_id).where(
    _calls.c.run_id == bindparam("run_id"), _calls.c.child_run_id.is_not(None)
)
_contained = (
    select(_steps.c.id).where(_steps.c.id == bindparam("step_id")).cte("held", recursive=True)
)
_CONTAINED = _contained.union_all(select(_steps.c.id).where(_steps.c.parent_id == _contained.c.id))
_EXECUTED_BY = (
    select(_calls.c.child_run_id)
    .join(_CONTAINED, _CONTAINED.c.id == _calls.c.step_id)
    .where(_calls.c.child_run_id.is_not(None))
)
_EFFECTS_OF_STEPS = _ONCE.join(_CONTAINED, _CONTAINED.c.id == _calls.c.step_id).where(
    _CONTAINED.c.id != bindparam("step_id")
)


def call_summary(name: str, outcome: str | None) -> str:
    """Return the name of a call that was begun, and how it ended."""
    return f"{name} ({_ENDINGS.get(outcome or '', _UNKNOWN)})"


def has_side_effects(tx: Session, run_id: str) -> bool:
    """Whether a run or its descendants have begun a call that must happen only once."""
    return any(
        execute(tx, _ANY_EFFECT, run_id=descendant_id).first()
        for descendant_id in _with_descendants(tx, [run_id])
    )


def effects_in_step(tx: Session, step_id: str) -> list[str]:
    """Return the calls inside a step that must happen only once, and have begun.

    These are the calls of the steps that it contains, and those of the runs that executed it or
    them. Its own function is left out: that is what the person is asked about.
    """
    calls_of_steps = execute(tx, _EFFECTS_OF_STEPS, step_id=step_id)
    counts = Counter(call_summary(call.name, call.outcome) for call in calls_of_steps)
    for run_id in _with_descendants(tx, execute(tx, _EXECUTED_BY, step_id=step_id).scalars()):
        counts.update(
            call_summary(call.name, call.outcome) for call in execute(tx, _EFFECTS, run_id=run_id)
        )
    lines = [call if times == 1 else f"{call} {times} times" for call, times in counts.items()]
    omitted = [f"{len(lines) - _LONGEST_LIST} others"] if len(lines) > _LONGEST_LIST else []
    return [*lines[:_LONGEST_LIST], *omitted]


def _with_descendants(tx: Session, run_ids: Iterable[str]) -> Iterator[str]:
    """Yield runs and all their descendants."""
    remaining = list(run_ids)
    while remaining:
        run_id = remaining.pop()
        yield run_id
        remaining.extend(execute(tx, _CHILDREN, run_id=run_id).scalars())
