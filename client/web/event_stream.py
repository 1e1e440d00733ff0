"""Answers of server-sent events: a stream says it lives, and ends with its reader or its server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from kern.client.web.stopping import stopping_of

MEDIA_TYPE = "text/event-stream"
_BEAT = format_sse_event(comment="beat")
_BEAT_SECONDS = 15.0


def wants_events(request: Request) -> bool:
    """Whether a request asks for a stream of events instead of a page."""
    return MEDIA_TYPE in request.headers.get("Accept", "")


def event_stream(
    request: Request,
    batches: AsyncGenerator[list[bytes]],
    beat_seconds: float = _BEAT_SECONDS,
) -> StreamingResponse:
    """Return the answer that sends batches of events as they come, until the server stops.

    Between them a comment says that the stream lives, so that no proxy cuts it.
    """
    stopping = stopping_of(request.scope)
    return StreamingResponse(_with_beats(batches, beat_seconds, stopping), media_type=MEDIA_TYPE)


async def _with_beats(
    batches: AsyncGenerator[list[bytes]], beat_seconds: float, stopping: asyncio.Event
) -> AsyncGenerator[bytes]:
    following: asyncio.Task[list[bytes]] | None = None
    stop = asyncio.create_task(stopping.wait())
    async with aclosing(batches):
        try:
            # The headers are sent with the first bytes.
            yield _BEAT
            while not stop.done():
                if following is None:
                    following = asyncio.create_task(_next(batches))
                await asyncio.wait(
                    {following, stop}, timeout=beat_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if not following.done():
                    if not stop.done():
                        yield _BEAT
                    continue
                batch, following = following.result(), None
                if not batch:
                    return
                for event in batch:
                    yield event
        finally:
            stop.cancel()
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following


async def _next(batches: AsyncGenerator[list[bytes]]) -> list[bytes]:
    return await anext(batches, [])
