"""The decisions of a walk: read page by page, kept in place, and added to as new ones come."""

import time
from datetime import datetime

from kern.client.cli.access import Connection
from kern.client.cli.walk.query import InboxQuery
from kern.client.service.operations import FeedWatch
from kern.contracts.reports import RequirementPage
from kern.contracts.viewer import present_operator
from kern.errors import NotFound
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.principals import principal_of
from kern.values.states import InboxOrder

_PAGE = 100
# What is handed on, or comes to be due within the time that is listed, is not in the feed.
_LOOK_SECONDS = 30.0


class Items:
    """What is walked through. Nothing is taken out of it: what was decided stays in its place.

    Args:
        connection: Where it is read.
        query: What it is.
        name: As whom it is decided.
    """

    def __init__(self, connection: Connection, query: InboxQuery, name: str) -> None:
        self._connection = connection
        self._query = query
        self._name = name
        self._items: list[Requirement] = []
        self._ids: set[str] = set()
        self._cursor: str | None = None
        self._begun_at = utc_now()
        # The last that was looked at for new ones: they have a cursor of their own, by age.
        self._newest: str | None = None
        self._is_behind = False
        self._next_look = 0.0
        self._watch: FeedWatch | None = None
        self.news = 0

    def __len__(self) -> int:
        """Return how many have been read."""
        return len(self._items)

    def __getitem__(self, index: int) -> Requirement:
        """Return one of them as it was read last."""
        return self._items[index]

    @property
    def total(self) -> str:
        """How many there are, with a plus sign if not all have been read."""
        return f"{len(self._items)}{'+' if self._cursor else ''}"

    def load(self) -> bool:
        """Read a page more; whether there was any."""
        if self._items and self._cursor is None:
            return False
        page = self._page(self._cursor, None)
        self._cursor = page.next_cursor
        return self._add(page.requirements) > 0

    def load_new(self) -> int:
        """Add what has come since the walk began, and return how much that is.

        A page is read only when the feed says that more may wait, and then one each time until the
        last.
        """
        if not self._is_behind and not self._hears_news():
            return 0
        # Unless this page is read, and is the last, the next time goes on.
        self._is_behind = True
        try:
            page = self._page(self._newest, InboxOrder.created)
        except NotFound:
            # Its session was deleted.
            self._newest = None
            return 0
        self._is_behind = page.next_cursor is not None
        if page.requirements:
            self._newest = page.requirements[-1].id
        recent = [item for item in page.requirements if item.created_at >= self._begun_at]
        count = self._add(recent)
        self.news += count
        return count

    def refresh(self, index: int) -> Requirement:
        """Read one of them again."""
        viewer, item_id = present_operator(), self._items[index].id
        item = self._connection.call(lambda service: service.inbox.read(viewer, item_id))
        self._items[index] = item
        return item

    def checked(self) -> tuple[int, datetime]:
        """Return how many decisions are open in all, up to 1,001, and when they were counted."""
        viewer = present_operator()
        person = principal_of(self._name, viewer.accepting_tenant)
        counts = self._connection.call(lambda service: service.inbox.counts(viewer, person))
        return counts.all, utc_now()

    def _hears_news(self) -> bool:
        watch = self._watch
        if watch is None:
            viewer = present_operator()
            self._watch = watch = self._connection.call(lambda service: service.feed.watch(viewer))
        is_new = self._connection.call(lambda _: watch.is_new())
        if not is_new and time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _LOOK_SECONDS
        return True

    def _page(self, cursor: str | None, sort: InboxOrder | None) -> RequirementPage:
        viewer, now = present_operator(), utc_now()
        return self._connection.call(
            lambda service: self._query.page(
                service, viewer, now, limit=_PAGE, cursor=cursor, sort=sort
            )
        )

    def _add(self, items: list[Requirement]) -> int:
        added = [item for item in items if item.id not in self._ids]
        self._ids.update(item.id for item in added)
        self._items += added
        return len(added)
