"""The lists of the inbox: what waits, for whom, and what was closed."""

from dataclasses import replace
from datetime import datetime
from typing import Unpack

from sqlmodel import Session

from kern.contracts.queries import PendingFilters, RequirementFilters
from kern.contracts.reports import LONGEST_PAGE, InboxCounts, RequirementPage
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.reading import closed_pages, inbox_pages, listings
from kern.db.reading.inbox_filters import InboxFilter
from kern.errors import InvalidInput
from kern.process.clock import utc_now
from kern.values.canonical import clean_text
from kern.values.ids import optional_id, require_text
from kern.values.names import name_key
from kern.values.principals import Principal, keys_of
from kern.values.states import InboxOrder, Risk
from kern.values.validation import member_of, optional_time, require_count

_LONGEST_SEARCH = 200


class InboxPages:
    """Lists and counts requirements, in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def pending(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        created_after: datetime | None = None,
        group: str | None = None,
        claimed_by: str | Principal | None = None,
        snoozed_by: Principal | None = None,
        search: str | None = None,
        **filters: Unpack[PendingFilters],
    ) -> RequirementPage:
        """List pending requirements, the oldest first or as `sort` says.

        Args:
            viewer: Who asks; only an operator sees the requirements of all users of the tenant.
            limit: How many at most, up to 1,000.
            cursor: `RequirementPage.next_cursor` of the page before, or the end of the last id.
            created_after: Only those asked after this moment.
            group: Only those that this group may decide, as a rule or a delegation names it.
            claimed_by: Only those that this person takes care of.
            snoozed_by: Only those that this principal has put off.
            search: Only those with this text in the title, the tool, the arguments or the user, in
                capitals or not, or whose id ends so. One page looks at 2,000 requirements at most,
                so it may have few or none, and the next one goes on.
            filters: `PendingFilters` says which there are.

        Raises:
            InvalidInput: the limit, an id, a time without a zone or an order makes no sense.
            NotFound: there is no requirement at the cursor.
        """
        require_count("limit", limit, most=LONGEST_PAGE)
        order = member_of("sort", filters.get("sort"), InboxOrder) or InboxOrder.created
        only = replace(
            _of_pending(filters, created_after, search, group, filters.get("due_before")),
            claimed_keys=None if claimed_by is None else _claimed_keys(claimed_by),
            snoozed_by=snoozed_by,
        )

        def read(tx: Session) -> RequirementPage:
            after = None
            if cursor is not None:
                after = listings.full_requirement_id(tx, viewer, cursor, name="cursor")
            return inbox_pages.list_inbox(
                tx,
                viewer,
                limit=limit,
                principal=filters.get("for_principal"),
                order=order,
                after=after,
                only=_of_run(tx, viewer, only, filters.get("run_id")),
                now=utc_now(),
            )

        return await self._store.read(read)

    async def first_ids(
        self, viewer: Viewer, principal: Principal, *, limit: int, sort: InboxOrder
    ) -> list[str]:
        """Read the ids of the first things that wait for a principal, as `pending` lists them."""
        now = utc_now()
        return await self._store.read(
            lambda tx: inbox_pages.first_ids(
                tx, principal, viewer, limit=limit, order=sort, now=now
            )
        )

    async def closed(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        created_after: datetime | None = None,
        search: str | None = None,
        **filters: Unpack[RequirementFilters],
    ) -> RequirementPage:
        """List requirements that were decided, have expired or were cancelled, the latest first.

        The filters are those of `pending`; `cursor` is `next_cursor` of the page before.

        Raises:
            InvalidInput: the limit, the cursor, an id or a time without a zone makes no sense.
        """
        require_count("limit", limit, most=LONGEST_PAGE)
        only = _narrowing(filters, created_after, search)

        def read(tx: Session) -> RequirementPage:
            narrowed = _of_run(tx, viewer, only, filters.get("run_id"))
            return closed_pages.list_closed(
                tx, viewer, limit=limit, cursor=cursor, only=narrowed, now=utc_now()
            )

        return await self._store.read(read)

    async def counts(
        self,
        viewer: Viewer,
        principal: Principal,
        *,
        created_after: datetime | None = None,
        due_before: datetime | None = None,
        group: str | None = None,
        **filters: Unpack[RequirementFilters],
    ) -> InboxCounts:
        """Count what waits for a principal and in all, each up to 1,001.

        The filters are those of `pending`, and narrow each of the counts.

        Raises:
            InvalidInput: an id or a time without a zone makes no sense.
        """
        now, only = utc_now(), _of_pending(filters, created_after, None, group, due_before)
        return await self._store.read(
            lambda tx: inbox_pages.count_inbox(
                tx, viewer, principal, now, _of_run(tx, viewer, only, filters.get("run_id"))
            )
        )

    async def count_for_me(self, viewer: Viewer, principal: Principal) -> int:
        """Count only what waits for a principal, up to 1,001."""
        now = utc_now()
        return await self._store.read(
            lambda tx: inbox_pages.count_for_me(tx, viewer, principal, now)
        )


def _narrowing(
    filters: RequirementFilters, created_after: datetime | None, search: str | None
) -> InboxFilter:
    """Return what narrows open requirements as it does closed ones, but for the run."""
    return InboxFilter(
        user_id=optional_id("user_id", filters.get("user_id")),
        session_id=optional_id("session_id", filters.get("session_id")),
        kind=filters.get("kind"),
        tool=filters.get("tool"),
        component_id=optional_id("component", filters.get("component")),
        risk=member_of("risk", filters.get("risk"), Risk),
        shape=filters.get("shape"),
        created_after=optional_time("created_after", created_after),
        words=_words(search),
    )


def _of_pending(
    filters: RequirementFilters,
    created_after: datetime | None,
    search: str | None,
    group: str | None,
    due_before: datetime | None,
) -> InboxFilter:
    """Return what narrows open requirements alone, besides."""
    return replace(
        _narrowing(filters, created_after, search),
        due_before=optional_time("due_before", due_before),
        group_key=None if group is None else name_key(require_text("group", group)),
    )


def _of_run(tx: Session, viewer: Viewer, only: InboxFilter, run_id: str | None) -> InboxFilter:
    return (
        only if run_id is None else replace(only, run_id=listings.full_run_id(tx, viewer, run_id))
    )


def _claimed_keys(person: str | Principal) -> tuple[str, ...]:
    if isinstance(person, Principal):
        return keys_of(person)
    return (name_key(require_text("claimed_by", person)),)


def _words(search: str | None) -> str | None:
    if search is None:
        return None
    words = clean_text(require_text("search", search)).strip()
    if len(words) > _LONGEST_SEARCH:
        message = f"search has {len(words):,} characters: use {_LONGEST_SEARCH} at most."
        raise InvalidInput(message)
    return words
