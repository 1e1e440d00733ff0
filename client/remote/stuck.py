"""What is stuck, over HTTP."""

from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.contracts.stuck import StuckReport
from kern.contracts.viewer import Viewer


class RemoteStuck:
    """Says what is stuck."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def read(self, viewer: Viewer) -> StuckReport:
        """Read what should be progressing and is not, and the workers."""
        await self._identity.check_tenant(viewer)
        return await self._connection.get(StuckReport, "stuck")
