"""Finds what should be progressing and is not: a bounded statement for each reason."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, GenerativeSelect, Row, select
from sqlmodel import Session, func

from kern.contracts.reports import AwaitedWorker
from kern.contracts.stuck import StuckItem, StuckReason, StuckReport
from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import OUTBOX, REQUIREMENTS, RUNS, TOOL_CALLS
from kern.db.reading.visibility import visible
from kern.db.runs.awaited_workers import awaited_workers, parked_runs
from kern.db.runs.workers import known_workers
from kern.values.attempts import UnknownAttempt
from kern.values.states import RequirementKind, RequirementStatus, RunStatus, ToolCallStatus

QueryT = TypeVar("QueryT", bound=GenerativeSelect)

# Of each reason so many are listed: the oldest say what is wrong.
MOST_LISTED = 100
_MOST_CHECKED = 1_001
# How long each step may take before it counts as stuck.
_WORKER_GRACE = timedelta(seconds=30)
_START_GRACE = timedelta(seconds=30)
_DELIVERY_GRACE = timedelta(seconds=5)
_DEADLINE_GRACE = timedelta(seconds=60)
# For so long people are shown what was approved and not executed.
_SHOWN_FOR = timedelta(days=7)

_runs, _calls, _requirements, _outbox = (
    RUNS.table,
    TOOL_CALLS.table,
    REQUIREMENTS.table,
    OUTBOX.table,
)
_ACTIVE = _runs.c.status.in_([RunStatus.pending.value, RunStatus.running.value])
_OPEN = _runs.c.status.in_(
    [RunStatus.pending.value, RunStatus.running.value, RunStatus.paused.value]
)
_PENDING = _requirements.c.status == RequirementStatus.pending.value
_REQUIREMENT = (
    _requirements.c.id.label("requirement_id"),
    _requirements.c.run_id,
    _requirements.c.tool_name,
)


def stuck_work(tx: Session, viewer: Viewer, now: datetime) -> StuckReport:
    """Return what of the viewer's does not progress, and the workers of the installation."""
    groups = [
        list(islice(items, MOST_LISTED + 1))
        for items in (
            _without_worker(tx, viewer, now),
            _not_started(tx, viewer, now),
            _not_executed(tx, viewer, now),
            _not_delivered(tx, viewer, now),
            _unknown_outcomes(tx, viewer),
            _past_deadlines(tx, viewer, now),
            _provider_outages(tx, viewer),
            _queued(tx, viewer),
        )
    ]
    checked = select(_runs.c.id).where(_OPEN, *visible(viewer, _runs)).limit(_MOST_CHECKED)
    return StuckReport(
        checked_at=now,
        checked=execute(tx, select(func.count()).select_from(checked.subquery())).scalar_one(),
        items=[item for items in groups for item in items[:MOST_LISTED]],
        is_complete=all(len(items) <= MOST_LISTED for items in groups),
        workers=known_workers(tx, now),
    )


def _without_worker(tx: Session, viewer: Viewer, now: datetime) -> Iterator[StuckItem]:
    groups: dict[tuple[str, str | None], list[AwaitedWorker]] = {}
    for awaited in awaited_workers(tx, now, viewer, _WORKER_GRACE):
        groups.setdefault((awaited.component_id, awaited.tool), []).append(awaited)
    for (component_id, tool), runs in groups.items():
        oldest = min(runs, key=lambda awaited: awaited.since)
        missing = f"the component {component_id!r}" if tool is None else f"the tool {tool!r}"
        yield StuckItem(
            reason=StuckReason.no_worker,
            run_id=oldest.run_id,
            component_id=component_id,
            tool=tool,
            since=oldest.since,
            why=f"No running worker has {missing}: the run waits until one starts that has it.",
            count=len(runs),
        )
    for parked in parked_runs(tx, now, viewer):
        why = (
            f"No running worker has the component {parked.component_id!r}: its runs wait for "
            "people, and could not go on after a decision."
        )
        yield StuckItem(
            reason=StuckReason.no_worker,
            component_id=parked.component_id,
            since=parked.oldest,
            why=why,
            count=parked.count,
        )


def _not_started(tx: Session, viewer: Viewer, now: datetime) -> Iterator[StuckItem]:
    """Yield calls that people let run some time ago and that no worker has taken."""
    query = (
        select(*_REQUIREMENT, _runs.c.component_id, _requirements.c.resolved_at)
        .select_from(_runs)
        .join(_calls, _calls.c.run_id == _runs.c.id)
        .join(_requirements, _requirements.c.tool_call_id == _calls.c.id)
        .where(
            _ACTIVE,
            _calls.c.status == ToolCallStatus.waiting.value,
            _requirements.c.status.in_(
                [RequirementStatus.resolved.value, RequirementStatus.expired.value]
            ),
            _requirements.c.resolved_at < now - _START_GRACE,
            *visible(viewer, _runs),
        )
        .order_by(_requirements.c.resolved_at)
    )
    for row in execute(tx, _bounded(query)):
        why = "It is decided, and no worker has begun the call."
        about = (StuckReason.not_started, row, row.resolved_at, why)
        yield _of_call(*about, component_id=row.component_id)


def _not_executed(tx: Session, viewer: Viewer, now: datetime) -> Iterator[StuckItem]:
    query = (
        select(*_REQUIREMENT, _requirements.c.resolved_at, _requirements.c.not_executed)
        .where(
            _requirements.c.not_executed.is_not(None),
            _requirements.c.resolved_at >= now - _SHOWN_FOR,
            *visible(viewer, _requirements),
        )
        .order_by(_requirements.c.resolved_at)
    )
    for row in execute(tx, _bounded(query)):
        yield _of_call(StuckReason.not_executed, row, row.resolved_at, row.not_executed)


def _not_delivered(tx: Session, viewer: Viewer, now: datetime) -> Iterator[StuckItem]:
    columns = (
        _outbox.c.run_id,
        _outbox.c.requirement_id,
        _outbox.c.component_id,
        _outbox.c.attempts,
        _outbox.c.next_at,
        _outbox.c.created_at,
    )
    # The run of a message may be deleted by now.
    query = (
        select(*columns)
        .join(_runs, _runs.c.id == _outbox.c.run_id, isouter=True)
        .where(_outbox.c.created_at < now - _DELIVERY_GRACE, *visible(viewer, _runs))
        .order_by(_outbox.c.created_at)
    )
    for row in execute(tx, _bounded(query)):
        tries = "1 try" if row.attempts == 1 else f"{row.attempts} tries"
        at = f"{row.next_at:%Y-%m-%d %H:%M:%S} UTC"
        yield StuckItem(
            reason=StuckReason.not_delivered,
            run_id=row.run_id,
            requirement_id=row.requirement_id,
            component_id=row.component_id,
            since=row.created_at,
            why=f"Temporal has not heard of it after {tries}; the next one is due at {at}.",
        )


def _unknown_outcomes(tx: Session, viewer: Viewer) -> Iterator[StuckItem]:
    query = (
        select(*_REQUIREMENT, _requirements.c.created_at, _requirements.c.attempt)
        .where(
            _PENDING,
            _requirements.c.kind == RequirementKind.unknown_outcome.value,
            *visible(viewer, _requirements),
        )
        .order_by(_requirements.c.created_at)
    )
    for row in execute(tx, _bounded(query)):
        attempt = None if row.attempt is None else UnknownAttempt.model_validate(row.attempt)
        why = "Nobody knows whether the call happened." if attempt is None else attempt.sentence
        yield _of_call(StuckReason.unknown_outcome, row, row.created_at, why)


def _past_deadlines(tx: Session, viewer: Viewer, now: datetime) -> Iterator[StuckItem]:
    query = (
        select(*_REQUIREMENT, _requirements.c.due_at)
        .where(
            _PENDING,
            _requirements.c.due_at < now - _DEADLINE_GRACE,
            *visible(viewer, _requirements),
        )
        .order_by(_requirements.c.due_at)
    )
    for row in execute(tx, _bounded(query)):
        yield _of_call(
            StuckReason.deadline_passed,
            row,
            row.due_at,
            "Its deadline has passed, and nothing has acted on it.",
        )


def _provider_outages(tx: Session, viewer: Viewer) -> Iterator[StuckItem]:
    query = _waiting_runs(viewer, _runs.c.outage.is_not(None))
    for row in execute(tx, query):
        outage = row.outage or {}
        yield StuckItem(
            reason=StuckReason.provider_away,
            run_id=row.id,
            component_id=row.component_id,
            since=outage.get("since") or row.updated_at,
            why="The model's provider is away; the run asks it again by itself.",
        )


def _queued(tx: Session, viewer: Viewer) -> Iterable[StuckItem]:
    query = _waiting_runs(viewer, _runs.c.is_queued.is_(True))
    for row in execute(tx, query):
        yield StuckItem(
            reason=StuckReason.queued,
            run_id=row.id,
            component_id=row.component_id,
            since=row.created_at,
            why="Another run of its session comes first.",
        )


def _of_call(
    reason: StuckReason,
    row: Row[Any],
    since: datetime,
    why: str,
    *,
    component_id: str | None = None,
) -> StuckItem:
    """Return what is stuck about a call; `row` has the columns of `_REQUIREMENT`."""
    return StuckItem(
        reason=reason,
        run_id=row.run_id,
        requirement_id=row.requirement_id,
        component_id=component_id,
        tool=row.tool_name,
        since=since,
        why=why,
    )


def _waiting_runs(viewer: Viewer, condition: ColumnElement[bool]) -> Executable:
    columns = (
        _runs.c.id,
        _runs.c.component_id,
        _runs.c.outage,
        _runs.c.created_at,
        _runs.c.updated_at,
    )
    query = select(*columns).where(_ACTIVE, condition, *visible(viewer, _runs))
    return _bounded(query.order_by(_runs.c.updated_at))


def _bounded(query: QueryT) -> QueryT:
    """Return a query for as much as is listed, and one more."""
    return query.limit(MOST_LISTED + 1)
