"""Pages of what waits: for everybody, or for one principal, in three orders.

What waits for a principal is asked by rows, one for each entry of a requirement's rules: the page
is merged from the beginnings of a few index ranges, one for each name and group of the principal.
So it takes one statement, and costs the same however much waits. Those whom a rule excludes never
find the requirement among what waits for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    union,
)
from sqlmodel import Session

from kern.contracts.reports import InboxCounts, RequirementPage
from kern.contracts.viewer import Viewer
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import RequirementRecord
from kern.db.engine.requirement_tables import NEVER
from kern.db.engine.typed_tables import PEOPLE, REQUIREMENTS, RUNS
from kern.db.reading.requirement_outputs import requirements_of
from kern.db.reading.run_outputs import find_requirement
from kern.db.reading.visibility import visible
from kern.values.deciders import entries_about
from kern.values.principals import Principal
from kern.values.states import (
    InboxOrder,
    PersonRole,
    PrincipalKind,
    RequirementKind,
    RequirementStatus,
    Risk,
)

# Beyond so many, people are shown "1,000+".
MOST_COUNTED = 1_001
_PENDING = RequirementStatus.pending.value
_people, _requirements, _runs = PEOPLE.table, REQUIREMENTS.table, RUNS.table
_excluded = _people.alias("excluded")


@dataclass(frozen=True)
class InboxFilter:
    """What a page of the inbox is narrowed to; None narrows nothing.

    Attributes:
        run_id: The run, with its child runs.
        component_id: The component whose run asks.
        due_before: Only what has a deadline before this moment.
    """

    user_id: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    kind: RequirementKind | None = None
    tool: str | None = None
    component_id: str | None = None
    risk: Risk | None = None
    shape: str | None = None
    due_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of the requirements that it lets through."""
        values = {
            "user_id": self.user_id,
            "session_id": self.session_id,
            "kind": self.kind,
            "tool_name": self.tool,
            "risk": self.risk,
            "shape": self.shape,
        }
        conditions = [
            _requirements.c[name] == str(value)
            for name, value in values.items()
            if value is not None
        ]
        if self.run_id is not None:
            inside = _requirements.c.root_run_id == self.run_id
            conditions.append((_requirements.c.run_id == self.run_id) | inside)
        if self.component_id is not None:
            asking = select(_runs.c.id).where(
                _runs.c.id == _requirements.c.run_id, _runs.c.component_id == self.component_id
            )
            conditions.append(asking.exists())
        if self.due_before is not None:
            conditions.append(_requirements.c.due_at < self.due_before)
        return conditions


def list_inbox(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    principal: Principal | None = None,
    after: str | None = None,
    order: InboxOrder = InboxOrder.created,
    only: InboxFilter | None = None,
) -> RequirementPage:
    """Return the pending requirements that the viewer may see, or those for one principal.

    `after` is the last requirement of the page before, in the same order: what was decided since
    does not move the next page.

    Raises:
        NotFound: there is no requirement `after`.
    """
    last = None if after is None else find_requirement(tx, after, viewer)
    conditions = [*visible(viewer, _requirements), *(only or InboxFilter()).conditions()]
    if principal is None:
        query = _page_of_all(conditions, order, last, limit + 1)
    elif principal.kind is not PrincipalKind.person:
        return RequirementPage(requirements=[])
    else:
        query = _page_of_one(principal, conditions, order, last, limit + 1)
    records = list(rows(tx, REQUIREMENTS, query))
    return RequirementPage(
        requirements=requirements_of(tx, records[:limit], viewer),
        next_cursor=records[limit - 1].id if records[limit:] else None,
    )


def count_inbox(tx: Session, viewer: Viewer, principal: Principal) -> InboxCounts:
    """Count what waits for a principal, and all that the viewer may see, each up to a cap."""
    conditions = visible(viewer, _requirements)
    pending = _requirements.c.status == _PENDING
    all_pending = select(_requirements.c.id).where(pending, *conditions).limit(MOST_COUNTED)
    for_me = 0
    if principal.kind is PrincipalKind.person:
        branches = _branches(principal, conditions, [_people.c.requirement_id], MOST_COUNTED)
        for_me = _count(tx, union(*branches).limit(MOST_COUNTED))
    return InboxCounts(for_me=for_me, all=_count(tx, all_pending))


def _count(tx: Session, query: Select[Any] | CompoundSelect[Any]) -> int:
    return int(execute(tx, select(func.count()).select_from(query.subquery())).scalar_one())


def _page_of_all(
    conditions: Sequence[ColumnElement[bool]],
    order: InboxOrder,
    last: RequirementRecord | None,
    limit: int,
) -> Select[Any]:
    at = {
        InboxOrder.created: _requirements.c.created_at,
        InboxOrder.due: _requirements.c.due_at,
        InboxOrder.risk: _requirements.c.risk_rank,
    }[order]
    query = _requirements.select().where(_requirements.c.status == _PENDING, *conditions)
    if last is not None:
        query = query.where(_behind(at, last, order))
    return query.order_by(at.nulls_last(), _requirements.c.id).limit(limit)


def _behind(
    at: ColumnElement[Any], last: RequirementRecord, order: InboxOrder
) -> ColumnElement[bool]:
    later_id = _requirements.c.id > last.id
    if order is not InboxOrder.due:
        value = last.created_at if order is InboxOrder.created else last.risk_rank
        return or_(at > value, and_(at == value, later_id))
    if last.due_at is None:
        return and_(at.is_(None), later_id)
    return or_(at > last.due_at, and_(at == last.due_at, later_id), at.is_(None))


def _page_of_one(
    principal: Principal,
    conditions: Sequence[ColumnElement[bool]],
    order: InboxOrder,
    last: RequirementRecord | None,
    limit: int,
) -> Select[Any]:
    at = {
        # Ids begin with the time.
        InboxOrder.created: _people.c.requirement_id,
        InboxOrder.due: _people.c.due_at,
        InboxOrder.risk: _people.c.risk_rank,
    }[order]
    begins = [] if last is None else [_behind_on_index(order, last)]
    columns = [_people.c.requirement_id.label("id"), at.label("at")]
    ordering = [at, _people.c.requirement_id]
    branches = _branches(principal, [*conditions, *begins], columns, limit, ordering)
    page = union(*branches).subquery("page")
    return (
        _requirements.select()
        .join(page, page.c.id == _requirements.c.id)
        .order_by(page.c.at, page.c.id)
        .limit(limit)
    )


def _behind_on_index(order: InboxOrder, last: RequirementRecord) -> ColumnElement[bool]:
    at_id = _people.c.requirement_id
    if order is InboxOrder.created:
        return at_id > last.id
    if order is InboxOrder.risk:
        return tuple_(_people.c.risk_rank, at_id) > tuple_(
            literal(last.risk_rank), literal(last.id)
        )
    due_at = literal(last.due_at or NEVER, UtcDateTime)
    return tuple_(_people.c.due_at, at_id) > tuple_(due_at, literal(last.id))


def _branches(
    principal: Principal,
    conditions: Sequence[ColumnElement[bool]],
    columns: Sequence[ColumnElement[Any]],
    limit: int,
    ordering: Sequence[ColumnElement[Any]] = (),
) -> list[Select[Any]]:
    """Return a query for each entry that is about a principal: the beginning of an index range."""
    entries = entries_about(principal)
    is_excluded = (
        select(_excluded.c.id)
        .where(
            _excluded.c.requirement_id == _people.c.requirement_id,
            _excluded.c.role == PersonRole.excluded.value,
            or_(*(and_(_excluded.c.kind == kind, _excluded.c.key == key) for kind, key in entries)),
        )
        .exists()
    )
    branches: list[Select[Any]] = []
    for kind, key in entries:
        branch = (
            select(*columns)
            .join(_requirements, _requirements.c.id == _people.c.requirement_id)
            .where(
                _people.c.tenant == principal.tenant,
                _people.c.status == _PENDING,
                _people.c.kind == kind,
                _people.c.key == key,
                _people.c.role != PersonRole.excluded.value,
                ~is_excluded,
                *conditions,
            )
            .order_by(*ordering)
            .limit(limit)
            .subquery()
        )
        branches.append(select(branch))
    return branches
