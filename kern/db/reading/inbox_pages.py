"""Pages of what waits: for everybody, for one principal or one group, in three orders.

What waits for a principal is asked by rows, one for each entry of a requirement's rules: the page
is merged from the beginnings of a few index ranges, one for each name and group of the principal.
So it takes one statement, and costs the same however much waits. Those whom a rule excludes never
find the requirement among what waits for them, nor does whoever has handed it on or put it off.

A search reads texts, for which there is no index. So one page of it looks at `MOST_SEARCHED`
requirements at most, in their order, and the next page begins behind them, even if it found none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    ScalarSelect,
    Select,
    and_,
    case,
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
from kern.db.engine.typed_tables import PEOPLE, REQUIREMENTS
from kern.db.reading.inbox_filters import (
    MOST_COUNTED,
    InboxFilter,
    claimed_ids,
    is_snoozed,
    looked_up,
    snoozed_ids,
)
from kern.db.reading.requirement_outputs import requirements_of
from kern.db.reading.run_outputs import find_requirement
from kern.db.reading.visibility import visible
from kern.process.clock import utc_now
from kern.values.deciders import entries_about
from kern.values.principals import Principal, keys_of
from kern.values.states import (
    InboxOrder,
    PersonKind,
    PersonRole,
    PrincipalKind,
    RequirementKind,
    RequirementStatus,
)

# One page of a search looks at so many.
MOST_SEARCHED = 2_000
_PENDING = RequirementStatus.pending.value
_HIDING = (PersonRole.excluded.value, PersonRole.handed_over.value)
_people, _requirements = PEOPLE.table, REQUIREMENTS.table
_hidden = _people.alias("hidden")


@dataclass(frozen=True)
class _Entries:
    """The entries of rules that are about somebody: kinds and keys, of one tenant or of any."""

    tenant: str | None
    keys: Sequence[tuple[str, str]]


def list_inbox(
    tx: Session,
    viewer: Viewer,
    *,
    limit: int,
    principal: Principal | None = None,
    after: str | None = None,
    order: InboxOrder = InboxOrder.created,
    only: InboxFilter | None = None,
    now: datetime | None = None,
) -> RequirementPage:
    """Return the pending requirements that the viewer may see, or those for one principal.

    `after` is the last requirement of the page before, in the same order: what was decided since
    does not move the next page.

    Raises:
        NotFound: there is no requirement `after`.
    """
    only, now = only or InboxFilter(), now or utc_now()
    if principal is not None and principal.kind is not PrincipalKind.person:
        return RequirementPage(requirements=[])
    last = None if after is None else find_requirement(tx, after, viewer)
    conditions = [*visible(viewer, _requirements), *only.conditions(now)]
    size = limit + 1 if only.match is None else MOST_SEARCHED
    if principal is not None:
        if only.group_key is not None:
            conditions.append(only.of_group)
        if only.snoozed_by is None:
            conditions.append(~is_snoozed(principal, now))
        places = _places_of(_entries_of(principal), conditions, order, last, size)
    elif only.group_key is not None:
        entries = _Entries(viewer.tenant, [(PersonKind.group.value, only.group_key)])
        places = _places_of(entries, conditions, order, last, size, hides=False)
    else:
        places = _places_of_all(conditions, order, last, size)
    page = places.subquery("page")
    query = _requirements.select().join(page, page.c.id == _requirements.c.id)
    if only.match is not None:
        query = query.where(only.match)
    query = query.order_by(page.c.at.nulls_last(), page.c.id).limit(limit + 1)
    records = list(rows(tx, REQUIREMENTS, query))
    cursor = records[limit - 1].id if records[limit:] else None
    if cursor is None and only.match is not None:
        # Where as many were looked at as may be, the next page begins behind the last of them.
        cursor = execute(
            tx, places.with_only_columns(places.selected_columns.id).limit(1).offset(size - 1)
        ).scalar()
    return RequirementPage(
        requirements=requirements_of(tx, records[:limit], viewer), next_cursor=cursor
    )


def first_ids(
    tx: Session,
    principal: Principal,
    viewer: Viewer,
    *,
    limit: int,
    order: InboxOrder,
    now: datetime | None = None,
) -> list[str]:
    """Return the ids of the first things that wait for a principal, as `list_inbox` has them."""
    if principal.kind is not PrincipalKind.person:
        return []
    hidden = ~is_snoozed(principal, now or utc_now())
    conditions = [*visible(viewer, _requirements), hidden]
    places = _places_of(_entries_of(principal), conditions, order, None, limit).subquery("page")
    query = select(places.c.id).order_by(places.c.at, places.c.id)
    return list(execute(tx, query).scalars())


def count_inbox(
    tx: Session,
    viewer: Viewer,
    principal: Principal,
    now: datetime | None = None,
    only: InboxFilter | None = None,
) -> InboxCounts:
    """Count what waits for a principal, and all that the viewer may see, each up to a cap.

    `only` narrows each of the counts; its words do not.
    """
    now, only = now or utc_now(), only or InboxFilter()
    narrowing = [*only.conditions(now), *([only.of_group] if only.group_key is not None else [])]
    conditions = [*visible(viewer, _requirements), *narrowing]
    pending = select(_requirements.c.id).where(_requirements.c.status == _PENDING, *conditions)
    unknown = _requirements.c.kind == RequirementKind.unknown_outcome.value
    queries: dict[str, Select[Any] | CompoundSelect[Any]] = {
        "all": pending,
        "claimed": pending.where(_requirements.c.id.in_(claimed_ids(keys_of(principal), now))),
        "snoozed": pending.where(_requirements.c.id.in_(snoozed_ids(principal, now))),
        "unknown": pending.where(unknown),
    }
    counts_for_me: list[ColumnElement[int]] = []
    if principal.kind is PrincipalKind.person:
        counts_for_me = [_count_for_me(viewer, principal, now, narrowing).label("for_me")]
    counts = [_counted(query).label(name) for name, query in queries.items()] + counts_for_me
    found = execute(tx, select(*counts)).mappings().one()
    return InboxCounts.model_validate({"for_me": 0, **found})


def count_for_me(
    tx: Session, viewer: Viewer, principal: Principal, now: datetime | None = None
) -> int:
    """Count only what waits for a principal, up to a cap: every page shows it."""
    if principal.kind is not PrincipalKind.person:
        return 0
    count: int = execute(
        tx, select(_count_for_me(viewer, principal, now or utc_now()))
    ).scalar_one()
    return count


def _count_for_me(
    viewer: Viewer,
    principal: Principal,
    now: datetime,
    narrowing: Sequence[ColumnElement[bool]] = (),
) -> ColumnElement[int]:
    """Return the number of what waits for a person, up to the cap.

    Several entries may be about one requirement, so the ranges are merged; but where one of them
    alone reaches the cap, the others need not be read.
    """
    # The rows of entries have the tenant themselves, which is all that narrows an operator's view.
    joins = bool(narrowing) or not viewer.is_operator
    conditions = [~is_snoozed(principal, now, _people.c.requirement_id), *narrowing]
    if joins:
        conditions += visible(viewer, _requirements)
    columns = [_people.c.requirement_id]
    branches = _branches(_entries_of(principal), conditions, columns, MOST_COUNTED, joins=joins)
    counts = [_counted(branch) for branch in branches]
    full = [(count >= MOST_COUNTED, literal(MOST_COUNTED)) for count in counts]
    return case(*full, else_=_counted(union(*branches)))


def _counted(query: Select[Any] | CompoundSelect[Any]) -> ScalarSelect[int]:
    counted = select(func.count()).select_from(query.limit(MOST_COUNTED).subquery())
    return counted.scalar_subquery()


def _places_of_all(
    conditions: Sequence[ColumnElement[bool]],
    order: InboxOrder,
    last: RequirementRecord | None,
    limit: int,
) -> Select[Any, Any]:
    """Return the query for the ids of a page of what waits for anybody, in their order."""
    at = {
        InboxOrder.created: _requirements.c.created_at,
        InboxOrder.due: _requirements.c.due_at,
        InboxOrder.risk: _requirements.c.risk_rank,
    }[order]
    query = select(_requirements.c.id, at.label("at"))
    query = query.where(_requirements.c.status == _PENDING, *conditions)
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


def _places_of(
    entries: _Entries,
    conditions: Sequence[ColumnElement[bool]],
    order: InboxOrder,
    last: RequirementRecord | None,
    limit: int,
    *,
    hides: bool = True,
) -> Select[Any, Any]:
    """Return the query for the ids of a page of what these entries are about, in their order."""
    at = {
        # Ids begin with the time.
        InboxOrder.created: _people.c.requirement_id,
        InboxOrder.due: _people.c.due_at,
        InboxOrder.risk: _people.c.risk_rank,
    }[order]
    begins = [] if last is None else [_behind_on_index(order, last)]
    columns = [_people.c.requirement_id.label("id"), at.label("at")]
    branches = _branches(
        entries,
        [*conditions, *begins],
        columns,
        limit,
        [at, _people.c.requirement_id],
        hides=hides,
    )
    merged = union(*branches).subquery("merged")
    return select(merged.c.id, merged.c.at).order_by(merged.c.at, merged.c.id).limit(limit)


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
    entries: _Entries,
    conditions: Sequence[ColumnElement[bool]],
    columns: Sequence[ColumnElement[Any]],
    limit: int,
    ordering: Sequence[ColumnElement[Any]] = (),
    *,
    hides: bool = True,
    joins: bool = True,
) -> list[Select[Any]]:
    """Return a query for each entry: the beginning of an index range.

    With `hides`, what an entry hides from the same person is left out. Without `joins`, nothing is
    asked of the requirements themselves.
    """
    conditions = [*conditions]
    if hides:
        conditions.append(~_is_hidden(entries))
    if entries.tenant is not None:
        conditions.append(_people.c.tenant == entries.tenant)
    branches: list[Select[Any]] = []
    for kind, key in entries.keys:
        branch = select(*columns)
        if joins:
            branch = branch.join(_requirements, _requirements.c.id == _people.c.requirement_id)
        branch = (
            branch.where(
                _people.c.status == _PENDING,
                _people.c.kind == kind,
                _people.c.key == key,
                _people.c.role.not_in(_HIDING),
                *conditions,
            )
            .order_by(*ordering)
            .limit(limit)
        )
        branches.append(select(branch.subquery()))
    return branches


def _is_hidden(entries: _Entries) -> ColumnElement[bool]:
    is_about = [and_(_hidden.c.kind == kind, _hidden.c.key == key) for kind, key in entries.keys]
    hiding = select(_hidden.c.id).where(
        _hidden.c.requirement_id == _people.c.requirement_id,
        _hidden.c.role.in_(_HIDING),
        or_(*is_about),
    )
    return looked_up(hiding)


def _entries_of(principal: Principal) -> _Entries:
    """Return the entries that are about a principal."""
    return _Entries(principal.tenant, entries_about(principal))
