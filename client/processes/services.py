"""What one process opens to work with runs.

Its database, its connection to Temporal, and what stands on both.
"""

import asyncio
from datetime import timedelta

from temporalio.client import Client

from kern.client.outbound.courier import OutboundCourier
from kern.client.server.embedded import EmbeddedServer
from kern.client.service.runtime_service import RuntimeService
from kern.client.service.waiting import Waiting
from kern.client.temporal import connection
from kern.client.temporal.courier import Courier
from kern.client.temporal.relay import Relay
from kern.db.engine.from_settings import open_store
from kern.db.engine.store import Store
from kern.db.journal.seals import require_head
from kern.errors import Unavailable
from kern.process.logs import get_logger
from kern.process.settings import Settings

_log = get_logger("kern.runtime")

_WATCH_SECONDS = 1.0
_LOOK_SECONDS = 20.0
_TRIES = 3


class Services:
    """The database, Temporal and the client of one process.

    `open` makes them, `close` gives them back.
    """

    def __init__(
        self, settings: Settings, db: Store, client: Client, server: EmbeddedServer | None
    ) -> None:
        self.settings = settings
        self.db = db
        self.temporal = client
        self.server = server
        self.courier = Courier(db, client, settings)
        self.waiting = Waiting(db, client)
        self.service = RuntimeService(db, self.courier, client, self.waiting, settings)
        retention = timedelta(days=settings.feed_days)
        self.relay = Relay(db, client, self.courier, settings.relay_seconds, retention)
        self.outbound = OutboundCourier(db, settings)
        self._watch = asyncio.create_task(_keep_alive(server)) if server else None

    @classmethod
    async def open(
        cls, settings: Settings, db: Store | None = None, *, ui: bool = False, lazy: bool = False
    ) -> "Services":
        """Open the database and Temporal: those that are configured, else the folder's own.

        Args:
            settings: Kern's settings.
            db: The database, when the caller has one already.
            ui: Also serve Temporal's web pages, when a server has to be started.
            lazy: Do not connect to a configured Temporal before it is needed; workers need it at
                once.

        Raises:
            NotMigrated: the tables have to be migrated first (on Postgres).
            Conflict: a newer version of Kern made them, and this one cannot work with them.
            Unavailable: the database or Temporal does not answer.
            AuditBroken: no seal in the database has the hash in `KERN_AUDIT_HEAD`.
        """
        database = db or open_store(settings)
        await asyncio.to_thread(database.open, settings.migrate)
        head = settings.audit_head
        if head is not None:
            await database.read(lambda tx: require_head(tx, head))
        if connection.is_configured():
            return cls(settings, database, await connection.connect(lazy=lazy), None)
        server = await asyncio.to_thread(EmbeddedServer.join, settings.home, ui=ui)
        try:
            client = await _reached(server)
        except BaseException:
            await asyncio.to_thread(server.leave)
            raise
        return cls(settings, database, client, server)

    async def close(self) -> None:
        """Give everything back; the last process in a folder stops its server."""
        await self.service.close()
        if self._watch is not None:
            self._watch.cancel()
        if self.server is not None:
            await asyncio.to_thread(self.server.leave)
        self.db.close()


async def _reached(server: EmbeddedServer) -> Client:
    """Connect to a server that may be killed before it is reached, and is then started again."""
    for _ in range(_TRIES):
        try:
            return await connection.connect(server.address)
        except Unavailable as error:
            _log.warning("server_not_reached", why=str(error))
            await asyncio.to_thread(server.ensure)
    return await connection.connect(server.address)


async def _keep_alive(server: EmbeddedServer) -> None:
    """Bring the folder's server back when somebody killed it."""
    loop = asyncio.get_running_loop()
    last_look = loop.time()
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        # Whether the port is open costs next to nothing; whether all is well, much more.
        if loop.time() - last_look < _LOOK_SECONDS and await _is_open(server.address):
            continue
        last_look = loop.time()
        try:
            if await asyncio.to_thread(server.ensure):
                _log.warning("server_restarted", address=server.address)
        except Exception as error:  # noqa: BLE001  the next look may succeed
            _log.warning("server_not_restarted", why=str(error))


async def _is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()
    except OSError:
        return False
    return True
