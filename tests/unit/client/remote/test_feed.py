"""The stream of the feed is read in the background, and opened again where it was left."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import httpx2
import pytest

from kern.client.remote import feed
from kern.client.remote.connection import Connection
from kern.client.remote.feed import RemoteFeedWatch
from kern.errors import KernError, NotAllowed, Unavailable

_TYPE = {"Content-Type": "text/event-stream"}
_REQUEST = httpx2.Request("GET", "http://kern/v1/feed")
_BEAT = b"id: 7\n: beat\n\n"


class Streams:
    """Answers with one stream after another; an error is raised, and the last never ends.

    Attributes:
        asked: The `Last-Event-ID` of each request.
        later: What is sent once the streams are through.
    """

    def __init__(self, *streams: bytes | Exception) -> None:
        self._streams = iter(streams)
        self.asked: asyncio.Queue[str | None] = asyncio.Queue()
        self.later: asyncio.Queue[bytes] = asyncio.Queue()

    @asynccontextmanager
    async def stream(
        self, *path: str, headers: Mapping[str, str] | None, accept: str
    ) -> AsyncGenerator[httpx2.Response]:
        assert (path, accept) == (("feed",), "text/event-stream")
        await self.asked.put((headers or {}).get("Last-Event-ID"))
        stream = next(self._streams, None)
        if isinstance(stream, Exception):
            raise stream
        content = self._endless() if stream is None else stream
        yield httpx2.Response(200, headers=_TYPE, content=content, request=_REQUEST)

    def interrupted(self, error: httpx2.TransportError) -> Unavailable:
        return Unavailable(f"broke off: {error}")

    async def _endless(self) -> AsyncGenerator[bytes]:
        while True:
            yield await self.later.get()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_PAUSES", (0.0, 0.0))


async def pause() -> None:
    """Let what can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def watch_of(streams: Streams) -> RemoteFeedWatch:
    return RemoteFeedWatch(cast("Connection", streams))


async def test_it_comes_back_with_the_number_of_the_last_event() -> None:
    streams = Streams(_BEAT, b"", httpx2.ReadError("cut"))
    watch = watch_of(streams)
    asked = [await asyncio.wait_for(streams.asked.get(), 5) for _ in range(3)]
    assert asked == [None, "7", "7"]
    await watch.close()


@pytest.mark.parametrize("event", ["opened", "counts", "reset", "resolved", "state"])
async def test_more_may_wait_after_some_events(event: str) -> None:
    streams = Streams()
    watch = watch_of(streams)
    await streams.asked.get()
    await pause()
    # What was opened before it listened is looked for once.
    assert await watch.is_new()
    assert not await watch.is_new()
    await streams.later.put(f"event: {event}\nid: 8\ndata: {{}}\n\n".encode())
    await pause()
    assert await watch.is_new() is (event in {"opened", "counts", "reset"})
    await watch.close()


async def test_whatever_was_missed_is_looked_for() -> None:
    streams = Streams(_BEAT)
    watch = watch_of(streams)
    assert await watch.is_new()
    for _ in range(2):
        await streams.asked.get()
    await pause()
    assert await watch.is_new()
    await watch.close()


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([_BEAT, *(Unavailable("It is away.") for _ in range(2))], Unavailable("It is away.")),
        ([_BEAT, b"", b""], Unavailable("broke off: it ended")),
        ([NotAllowed("It was revoked.")], NotAllowed("It was revoked.")),
    ],
)
async def test_what_stays_away_or_refuses_is_reported(
    answers: list[bytes | Exception], error: KernError
) -> None:
    streams = Streams(*answers)
    watch = watch_of(streams)
    for _ in answers:
        await asyncio.wait_for(streams.asked.get(), 5)
    await pause()
    with pytest.raises(type(error), match=str(error)):
        await watch.is_new()
    await watch.close()
