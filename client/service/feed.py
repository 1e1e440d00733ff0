"""The feed: a page of it, and readers who follow it.

The readers of a process share what it has read: the feed is read once, whoever follows it, and each
reader picks what is theirs. So a thousand readers cost the database what one costs, and a slow one
costs nothing: whoever falls behind what is kept here has to start over.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from kern.client.service.shared_counts import SharedCounts
from kern.client.service.streams import Readers
from kern.client.temporal.numbering import Numberer
from kern.client.temporal.supervision import supervise
from kern.contracts.feed import FeedEntry, FeedPage
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.journal.feed import head_of, is_any_unnumbered
from kern.db.reading import inbox_pages
from kern.db.reading.feed_pages import entries_after
from kern.errors import Unavailable
from kern.process.clock import utc_now
from kern.process.live_text import FEED_CHANNEL, Follower
from kern.values.feed import FeedKind
from kern.values.principals import Principal
from kern.values.validation import require_count

# Whoever has missed more starts over: nobody reads that much.
MOST_MISSED = 500
_LONGEST_PAGE = 500
_MOST_RECENT = 2 * MOST_MISSED
_BATCH = 500
# Of a page for one principal, so many entries are looked at.
_SCANNED = 4 * _BATCH
# Processes that cannot be heard, as on SQLite, are looked after this often.
_LOOK_SECONDS = 1.0
# After these, more may wait for somebody than before.
_OPENING = frozenset({FeedKind.opened.value, FeedKind.escalated.value})


@dataclass(frozen=True)
class FeedReset:
    """A reader has missed too much: read anew whatever is shown, and go on from this number."""

    seq: int


@dataclass(frozen=True)
class FeedSelection:
    """What a reader is shown of the feed.

    Attributes:
        viewer: Who reads: what they do not reach is left out.
        principal: With one, only what concerns it: as a candidate, by name, group or as the
            requester, or because anybody may decide.
        kinds: Only entries of these kinds; None for all.
    """

    viewer: Viewer
    principal: Principal | None = None
    kinds: frozenset[str] | None = None

    def includes(self, entry: FeedEntry) -> bool:
        """Whether an entry is shown."""
        return (
            entry.is_visible_to(self.viewer)
            and (self.kinds is None or entry.kind in self.kinds)
            and (self.principal is None or entry.audience.includes(self.principal))
        )


class Feed:
    """The feed of one store, and its readers in this process."""

    def __init__(self, store: Store, readers: Readers) -> None:
        self._store = store
        self._readers = readers
        self._recent = _Recent()
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._counts = SharedCounts()

    async def page(
        self,
        viewer: Viewer,
        principal: Principal | None = None,
        *,
        after: int | None = None,
        kinds: Collection[str] | None = None,
        for_me: bool = False,
        limit: int = 100,
    ) -> FeedPage:
        """Return the entries after a number, in order.

        Args:
            viewer: Who asks.
            principal: Who asks, as they were authenticated.
            after: `FeedPage.next` of the page before, or the number of the last entry that was
                read; None for the oldest that is kept.
            kinds: Only entries of these kinds.
            for_me: Only entries about what the principal may decide.
            limit: How many at most, up to 500.

        Raises:
            InvalidInput: `after` or the limit makes no sense.
        """
        require_count("limit", limit, most=_LONGEST_PAGE)
        if after is not None:
            require_count("after", after, least=0)
        selection = FeedSelection(
            viewer,
            principal if for_me else None,
            None if kinds is None else frozenset(kinds),
        )
        return await self._store.read(lambda tx: _page(tx, selection, after, limit))

    async def follow(
        self, selection: FeedSelection, after: int | None = None
    ) -> AsyncGenerator[FeedEntry | FeedReset]:
        """Follow the feed from a number on, or from now on, until this process stops.

        Raises:
            Unavailable: this process is shutting down.
        """
        reader = await self.reader(selection, after)
        while True:
            for item in await reader.read():
                yield item

    async def reader(self, selection: FeedSelection, after: int | None = None) -> "FeedReader":
        """Return a reader of what follows a number, or of what happens from now on."""
        await self.start()
        return FeedReader(self._store, self._recent, selection, after)

    async def count_for_me(self, viewer: Viewer, principal: Principal) -> int:
        """Count what waits for a reader, up to 1,001; those who are the same share one count."""
        key = (viewer.tenant, principal.model_dump_json())
        return await self._counts.of(
            key,
            lambda: self._store.read(
                lambda tx: inbox_pages.count_for_me(tx, viewer, principal, utc_now())
            ),
        )

    async def watch(self, viewer: Viewer) -> "FeedLook":
        """Watch for new requirements by the last number, at the cost of a short read each time."""
        return FeedLook(self._store, viewer)

    async def start(self) -> None:
        """Begin to number the feed, and to read it for the readers of this process."""
        async with self._starting:
            if self._reading is not None or self._recent.is_closed:
                return
            follower = await self._readers.follower(FEED_CHANNEL)
            head, _ = await self._store.read(head_of)
            self._recent.begin(head)
            self._reading = asyncio.create_task(supervise("feed", lambda: self._read(follower)))

    async def close(self) -> None:
        """End every reader."""
        self._recent.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _read(self, follower: Follower) -> None:
        numberer = Numberer(self._store)
        while True:
            await numberer.number()
            while batch := await self._store.read(
                lambda tx: entries_after(tx, self._recent.newest, _BATCH)
            ):
                self._recent.add(batch)
            await follower.wait(_LOOK_SECONDS)


class FeedLook:
    """Says whether more may wait for somebody whom a viewer reaches, each time since the last."""

    def __init__(self, store: Store, viewer: Viewer) -> None:
        self._store, self._viewer = store, viewer
        self._seq: int | None = None

    async def is_new(self) -> bool:
        """Whether more may wait. While entries are without a number, it may be one of them."""
        seen = self._seq

        def look(tx: Session) -> tuple[int, bool]:
            head, _ = head_of(tx)
            if seen is None or head < seen:
                return head, True
            opened = entries_after(tx, seen, 1, self._viewer, _OPENING)
            return head, bool(opened) or is_any_unnumbered(tx)

        self._seq, is_new = await self._store.read(look)
        return is_new


class FeedReader:
    """Reads the feed for one reader.

    Attributes:
        seq: The number up to which it has looked.
    """

    def __init__(
        self, store: Store, recent: "_Recent", selection: FeedSelection, after: int | None
    ) -> None:
        self._store, self._recent, self._selection = store, recent, selection
        self.seq = recent.newest if after is None else after
        self._is_new = after is not None and not recent.oldest <= after <= recent.newest

    async def read(self, seconds: float | None = None) -> Sequence[FeedEntry | FeedReset]:
        """Wait for what this reader is shown next; nothing, if it does not come in time.

        Raises:
            Unavailable: this process is shutting down.
        """
        if self._is_new:
            self._is_new = False
            items = await self._missed()
            if items:
                return items
        try:
            async with asyncio.timeout(seconds):
                return await self._next()
        except TimeoutError:
            return []

    async def _next(self) -> Sequence[FeedEntry | FeedReset]:
        while True:
            if self._recent.is_closed:
                message = "This process is stopping: come back with the number of the last entry."
                raise Unavailable(message)
            changed = self._recent.changed
            if self.seq < self._recent.oldest:
                return [self._reset(self._recent.newest)]
            entries = self._recent.after(self.seq)
            self.seq = max(self.seq, self._recent.newest)
            items = [entry for entry in entries if self._selection.includes(entry)]
            if items:
                return items
            await changed.wait()

    async def _missed(self) -> Sequence[FeedEntry | FeedReset]:
        """Return what came before the entries that this process has."""
        after, viewer = self.seq, self._selection.viewer

        def read(tx: Session) -> tuple[int, int, list[FeedEntry]]:
            return (*head_of(tx), entries_after(tx, after, MOST_MISSED + 1, viewer))

        head, pruned, entries = await self._store.read(read)
        if not pruned <= after <= head or len(entries) > MOST_MISSED:
            return [self._reset(head)]
        self.seq = head
        return [entry for entry in entries if self._selection.includes(entry)]

    def _reset(self, seq: int) -> FeedReset:
        self.seq = seq
        return FeedReset(seq)


class _Recent:
    """The latest entries, above the number `oldest` and up to `newest`, for all readers."""

    def __init__(self) -> None:
        self.oldest = self.newest = 0
        self.changed = asyncio.Event()
        self.is_closed = False
        self._entries: deque[FeedEntry] = deque()

    def begin(self, seq: int) -> None:
        """Begin after a number."""
        self.oldest = self.newest = seq

    def add(self, entries: Sequence[FeedEntry]) -> None:
        """Add the next entries, and wake the readers."""
        self._entries.extend(entries)
        self.newest = entries[-1].seq
        while len(self._entries) > _MOST_RECENT:
            self.oldest = self._entries.popleft().seq
        self._wake()

    def after(self, seq: int) -> list[FeedEntry]:
        """Return the entries after a number, in order."""
        entries: list[FeedEntry] = []
        for entry in reversed(self._entries):
            if entry.seq <= seq:
                break
            entries.append(entry)
        return entries[::-1]

    def close(self) -> None:
        """End the readers."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


def _page(tx: Session, selection: FeedSelection, after: int | None, limit: int) -> FeedPage:
    head, pruned = head_of(tx)
    is_reset = after is not None and not pruned <= after <= head
    seq = pruned if after is None or is_reset else after
    items: list[FeedEntry] = []
    for _ in range(_SCANNED // _BATCH):
        batch = entries_after(tx, seq, _BATCH, selection.viewer, selection.kinds)
        items += [entry for entry in batch if selection.includes(entry)]
        seq = head if len(batch) < _BATCH else batch[-1].seq
        if len(items) > limit or seq >= head:
            break
    if len(items) > limit:
        items, seq = items[:limit], items[limit - 1].seq
    return FeedPage(items=items, next=seq, reset=is_reset)
