"""The one service behind every surface: what people and programs can ask of an installation."""

import asyncio

from kern.client.service.absences import Absences
from kern.client.service.access import Access
from kern.client.service.audit import Audit
from kern.client.service.batches import Batches
from kern.client.service.feed import Feed
from kern.client.service.inbox import Inbox
from kern.client.service.ports import Deliverer
from kern.client.service.runs import Runs
from kern.client.service.sessions import Sessions
from kern.client.service.streams import Readers
from kern.client.service.stuck import Stuck
from kern.client.service.subscriptions import Subscriptions
from kern.client.service.triage import Triage
from kern.db.engine.store import Store
from kern.errors import KernError
from kern.process.settings import Settings, read_settings

_PATIENCE = 2.0


class Service:
    """Every operation once, for one store; each takes first who asks.

    None of them waits for a run: `RuntimeService` has those that do.

    Attributes:
        runs: Accept, cancel, retry, read and list runs.
        inbox: List and read requirements, and decide them.
        batches: Decide look-alikes together.
        triage: Claim requirements, hand them on, put them off, comment on them.
        absences: Say that one is away, and list who is.
        sessions: Read, list, change, copy and delete sessions.
        readers: Read the events of runs.
        audit: List, verify and export the log of decisions.
        feed: Read what happens, in one order.
        subscriptions: Notify programs and people of it.
        access: Make and recognise tokens and sessions of browsers.
        stuck: Read what should be progressing and is not.
    """

    def __init__(
        self, store: Store, deliverer: Deliverer, settings: Settings | None = None
    ) -> None:
        self._store = store
        self._deliverer = deliverer
        self.runs = Runs(store, deliverer)
        self.inbox = Inbox(store, deliverer)
        self.batches = Batches(store, self.inbox)
        self.triage = Triage(store)
        self.absences = Absences(store)
        self.sessions = Sessions(store, deliverer)
        self.readers = Readers(store)
        self.feed = Feed(store, self.readers)
        self.subscriptions = Subscriptions(store, settings or read_settings())
        self.audit = Audit(store)
        self.access = Access(store)
        self.stuck = Stuck(store)

    async def answers(self) -> bool:
        """Whether the database answers within two seconds."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._store.read(lambda tx: tx.connection().exec_driver_sql("SELECT 1"))
        except (KernError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """End every reader, and record what was delivered."""
        await self.feed.close()
        await self.readers.close()
        await self._deliverer.close()
