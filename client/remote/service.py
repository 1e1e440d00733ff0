"""The one service, over HTTP: the same operations as on a database."""

from kern.client.remote.absences import RemoteAbsences
from kern.client.remote.access import RemoteAccess
from kern.client.remote.address import Address
from kern.client.remote.audit import RemoteAudit
from kern.client.remote.connection import Connection
from kern.client.remote.feed import RemoteFeed
from kern.client.remote.identity import Identity
from kern.client.remote.inbox import RemoteInbox
from kern.client.remote.readers import RemoteReaders
from kern.client.remote.runs import RemoteRuns
from kern.client.remote.sessions import RemoteSessions
from kern.client.remote.stuck import RemoteStuck
from kern.client.remote.subscriptions import RemoteSubscriptions
from kern.client.remote.triage import RemoteTriage


class RemoteService:
    """Every operation that people ask for, on an API; to be used on one event loop.

    The viewers that are passed name a tenant at most: who asks is whoever the token belongs to.

    Args:
        address: The API, and the token.
    """

    def __init__(self, address: Address) -> None:
        self._connection = Connection(address)
        self.identity = Identity(self._connection)
        parts = self._connection, self.identity
        self.runs = RemoteRuns(*parts)
        self.inbox = RemoteInbox(*parts)
        self.sessions = RemoteSessions(*parts)
        self.feed = RemoteFeed(*parts)
        self.readers = RemoteReaders(*parts)
        self.audit = RemoteAudit(*parts)
        self.access = RemoteAccess(*parts)
        self.stuck = RemoteStuck(*parts)
        self.triage = RemoteTriage(*parts)
        self.absences = RemoteAbsences(*parts)
        self.subscriptions = RemoteSubscriptions(*parts)

    async def close(self) -> None:
        """Let the connections go."""
        await self.feed.close()
        await self._connection.close()
