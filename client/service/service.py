"""The one service behind every surface: what people and programs can ask of an installation."""

from kern.client.service.access import Access
from kern.client.service.audit import Audit
from kern.client.service.feed import Feed
from kern.client.service.inbox import Inbox
from kern.client.service.ports import Deliverer
from kern.client.service.runs import Runs
from kern.client.service.sessions import Sessions
from kern.client.service.streams import Readers
from kern.client.service.subscriptions import Subscriptions
from kern.db.engine.store import Store
from kern.process.settings import Settings, read_settings


class Service:
    """Every operation once, for one store; each takes first who asks.

    None of them waits for a run: `RuntimeService` has those that do.

    Attributes:
        runs: Accept, cancel, retry, read and list runs.
        inbox: List and read requirements, and decide them.
        sessions: Read, list, change, copy and delete sessions.
        readers: Read the events of runs.
        feed: Read what happens, in one order.
        subscriptions: Notify programs and people of it.
        audit: Verify and export the log of decisions.
        access: Make and recognise tokens and sessions of browsers.
    """

    def __init__(
        self, store: Store, deliverer: Deliverer, settings: Settings | None = None
    ) -> None:
        self._deliverer = deliverer
        self.runs = Runs(store, deliverer)
        self.inbox = Inbox(store, deliverer)
        self.sessions = Sessions(store, deliverer)
        self.readers = Readers(store)
        self.feed = Feed(store, self.readers)
        self.subscriptions = Subscriptions(store, settings or read_settings())
        self.audit = Audit(store)
        self.access = Access(store)

    async def close(self) -> None:
        """End every reader, and record what was delivered."""
        await self.feed.close()
        await self.readers.close()
        await self._deliverer.close()
