"""The feed over HTTP: says when something new waits, while the stream of events stays open."""

import asyncio
from contextlib import suppress

import httpx2

from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.contracts.viewer import Viewer
from kern.errors import Unavailable

# After so many connections in a row that brought nothing, the server is taken to be away.
_PAUSES = (0.5, 1.0, 3.0, 10.0, 30.0)
# More may wait after these events; `counts` is about what waits for whoever the token belongs to.
_NEW = frozenset({"opened", "counts", "reset"})


class RemoteFeed:
    """Watches what happens, until it is closed."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity
        self._watches: list[RemoteFeedWatch] = []

    async def watch(self, viewer: Viewer) -> "RemoteFeedWatch":
        """Watch for new requirements from now on."""
        await self._identity.check_tenant(viewer)
        watch = RemoteFeedWatch(self._connection)
        self._watches.append(watch)
        return watch

    async def close(self) -> None:
        """End every watch."""
        while self._watches:
            await self._watches.pop().close()


class RemoteFeedWatch:
    """Listens to the feed in the background; a connection that breaks is made again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last_id = ""
        self._is_new = True
        self._pauses = iter(_PAUSES)
        self._listening = asyncio.create_task(self._listen())

    async def is_new(self) -> bool:
        """Whether more may wait than the last time.

        Raises:
            Unavailable: the server has been away for long.
            KernError: it lets whoever asks in no more.
        """
        if self._listening.done():
            self._listening.result()
        is_new, self._is_new = self._is_new, False
        return is_new

    async def close(self) -> None:
        """Stop listening."""
        self._listening.cancel()
        # What it failed with was raised where somebody asked.
        with suppress(asyncio.CancelledError, Exception):
            await self._listening

    async def _listen(self) -> None:
        while True:
            try:
                await self._read()
                broken: Unavailable = self._connection.interrupted(httpx2.ReadError("it ended"))
            except httpx2.TransportError as error:
                broken = self._connection.interrupted(error)
            except Unavailable as error:
                broken = error
            pause = next(self._pauses, None)
            if pause is None:
                raise broken
            await asyncio.sleep(pause)

    async def _read(self) -> None:
        """Read the stream until it ends."""
        answer = self._connection.stream(
            "feed",
            accept="text/event-stream",
            headers={"Last-Event-ID": self._last_id} if self._last_id else None,
        )
        async with answer as response:
            # Nobody has listened until now.
            self._is_new = True
            async for event in httpx2.EventSource(response):
                self._pauses = iter(_PAUSES)
                self._last_id = event.id or self._last_id
                self._is_new = self._is_new or event.event in _NEW
