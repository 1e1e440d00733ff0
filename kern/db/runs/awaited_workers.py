"""Finds runs that wait for a worker: no living one has their component, or a tool that they need.

Which worker has what, the workers report themselves (`kern.db.runs.workers`).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, or_, select
from sqlmodel import Session

from kern.contracts.policy import ComponentPolicy
from kern.contracts.reports import AwaitedWorker, ParkedRuns, WorkerPolicies
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import RunRecord, ToolCallRecord
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS, TOOL_CALLS
from kern.db.reading.run_trees import is_within
from kern.db.reading.visibility import visible
from kern.db.runs import policies
from kern.db.runs.workers import present_workers
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus

# A worker that starts, or takes a task, needs some time.
GRACE = timedelta(seconds=3)
# What is found of a great backlog says what is missing; the oldest come first.
_MOST_RUNS = 500

_runs, _calls, _requirements = RUNS.table, TOOL_CALLS.table, REQUIREMENTS.table
_ACTIVE = (RunStatus.pending.value, RunStatus.running.value)
_IS_ACTIVE = (_runs.c.status.in_(_ACTIVE), _runs.c.is_queued.is_(False))
_ACTIVE_COMPONENTS = select(_runs.c.component_id).where(
    _runs.c.status.in_(_ACTIVE), _runs.c.component_id.in_(bindparam("ids", expanding=True))
)
_TIMED_COMPONENTS = (
    select(_runs.c.component_id)
    .select_from(_requirements)
    .join(_runs, _runs.c.id == func.coalesce(_requirements.c.root_run_id, _requirements.c.run_id))
    .where(
        _requirements.c.status == RequirementStatus.pending.value,
        or_(
            _requirements.c.due_at.is_not(None),
            _requirements.c.remind_at.is_not(None),
            _requirements.c.escalate_at.is_not(None),
        ),
        _runs.c.component_id.in_(bindparam("ids", expanding=True)),
    )
)
_OLDEST = _runs.select().where(*_IS_ACTIVE).order_by(_runs.c.updated_at).limit(_MOST_RUNS)
_TREE = (
    _runs.select()
    .where(
        *_IS_ACTIVE,
        or_(_runs.c.id == bindparam("run_id"), _runs.c.root_run_id == bindparam("root")),
    )
    .limit(_MOST_RUNS)
)
_ROOT = select(_runs.c.root_run_id).where(_runs.c.id == bindparam("run_id"))
_PARKED = (
    select(
        _runs.c.component_id,
        func.count().label("runs"),
        func.min(_runs.c.updated_at, type_=UtcDateTime).label("oldest"),
    )
    .where(_runs.c.status == RunStatus.paused.value)
    .group_by(_runs.c.component_id)
)
_IS_PAUSED = select(_runs.c.component_id, _runs.c.updated_at).where(
    _runs.c.id == bindparam("run_id"), _runs.c.status == RunStatus.paused.value
)
# Calls of tools that have not begun and wait for nobody.
_WAITING_CALLS = (
    _calls.select()
    .where(
        _calls.c.run_id.in_(bindparam("run_ids", expanding=True)),
        _calls.c.status == ToolCallStatus.waiting.value,
        _calls.c.step_id.is_(None),
        _calls.c.child_run_id.is_(None),
        ~select(_requirements.c.id)
        .where(
            _requirements.c.tool_call_id == _calls.c.id,
            _requirements.c.status == RequirementStatus.pending.value,
        )
        .exists(),
    )
    .order_by(_calls.c.id)
)
_RESOLVED = (
    select(
        _requirements.c.tool_call_id,
        func.max(_requirements.c.resolved_at, type_=UtcDateTime).label("resolved_at"),
    )
    .where(_requirements.c.tool_call_id.in_(bindparam("call_ids", expanding=True)))
    .group_by(_requirements.c.tool_call_id)
)


def active_components(tx: Session, component_ids: Sequence[str]) -> set[str]:
    """Return which of these components have a run that continues without anybody's decision.

    It is under way or about to be, or something is to happen at a certain time: a deadline, a
    reminder or an escalation, in it or in a run inside it.
    """
    ids = list(component_ids)
    active = set(execute(tx, _ACTIVE_COMPONENTS, ids=ids).scalars())
    return active.union(execute(tx, _TIMED_COMPONENTS, ids=ids).scalars())


def awaited_workers(
    tx: Session, now: datetime, viewer: Viewer = OPERATOR, grace: timedelta = GRACE
) -> list[AwaitedWorker]:
    """Return what active runs wait for that no worker has, in the viewer's runs, the oldest first.

    Each of them has waited for longer than `grace`.
    """
    oldest = _OLDEST.where(*visible(viewer, _runs))
    return _awaited(tx, list(rows(tx, RUNS, oldest)), now, grace)


def awaited_by(
    tx: Session, run_id: str, now: datetime, grace: timedelta = GRACE
) -> list[AwaitedWorker]:
    """Return what a run, or one inside it, has waited for longer than `grace` and no worker has.

    A run that waits for people waits for a worker besides, if none has its component.
    """
    root = execute(tx, _ROOT, run_id=run_id).scalar() or run_id
    tree = rows(tx, RUNS, _TREE, run_id=run_id, root=root)
    awaited = _awaited(tx, [run for run in tree if is_within(run, run_id)], now, grace)
    parked = execute(tx, _IS_PAUSED, run_id=run_id).first()
    if parked is not None and not _workers_of(present_workers(tx, now), parked.component_id):
        awaited.append(
            AwaitedWorker(
                run_id=run_id,
                component_id=parked.component_id,
                since=parked.updated_at,
                is_parked=True,
            )
        )
    return awaited


def parked_runs(tx: Session, now: datetime, viewer: Viewer = OPERATOR) -> list[ParkedRuns]:
    """Count the viewer's runs that wait for people and whose component no worker has."""
    workers = present_workers(tx, now)
    return [
        ParkedRuns(component_id=row.component_id, count=row.runs, oldest=row.oldest)
        for row in execute(tx, _PARKED.where(*visible(viewer, _runs)))
        if not _workers_of(workers, row.component_id)
    ]


def _awaited(
    tx: Session, runs: Sequence[RunRecord], now: datetime, grace: timedelta = GRACE
) -> list[AwaitedWorker]:
    workers = present_workers(tx, now)
    calls: dict[str, list[ToolCallRecord]] = {}
    for call in rows(tx, TOOL_CALLS, _WAITING_CALLS, run_ids=[run.id for run in runs]):
        calls.setdefault(call.run_id, []).append(call)
    call_ids = [call.id for waiting in calls.values() for call in waiting]
    resolved = {
        row.tool_call_id: row.resolved_at for row in execute(tx, _RESOLVED, call_ids=call_ids)
    }
    awaited = [
        item
        for run in runs
        for item in _awaited_by_run(tx, run, workers, calls.get(run.id, []), resolved)
    ]
    return [item for item in awaited if item.since <= now - grace]


def _awaited_by_run(
    tx: Session,
    run: RunRecord,
    workers: Iterable[WorkerPolicies],
    calls: Sequence[ToolCallRecord],
    resolved: dict[str, datetime | None],
) -> Iterator[AwaitedWorker]:
    present = [
        policy
        for digest in _workers_of(workers, run.component_id)
        if (policy := policies.intact_component_policy(tx, digest, run.component_id)) is not None
    ]

    def item(since: datetime, tool: str | None = None) -> AwaitedWorker:
        return AwaitedWorker(run_id=run.id, component_id=run.component_id, tool=tool, since=since)

    if not present:
        yield item(run.updated_at)
        return
    for call in calls:
        if not any(call.name in policy.tools for policy in present):
            yield item(max(call.created_at, resolved.get(call.id) or call.created_at), call.name)
    pinned = None if calls else policies.intact_component_policy(tx, run.policy, run.component_id)
    if pinned is not None:
        # Before the next turn of the model, a worker must have all that is pinned.
        for name in min((_missing(pinned, policy) for policy in present), key=len):
            yield item(run.updated_at, name)


def _missing(pinned: ComponentPolicy, present: ComponentPolicy) -> list[str]:
    missing_parts = set(pinned.parts) - set(present.parts)
    return sorted([*(pinned.tools.keys() - present.tools.keys()), *missing_parts])


def _workers_of(workers: Iterable[WorkerPolicies], component_id: str) -> set[str]:
    """Return the digests that workers declare for a component."""
    return {worker.policies[component_id] for worker in workers if component_id in worker.policies}
