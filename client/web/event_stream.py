"""Answers of server-sent events: a stream that says it lives, and ends when its reader goes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

MEDIA_TYPE = "text/event-stream"
_BEAT = format_sse_event(comment="beat")
_BEAT_SECONDS = 15.0


def wants_events(request: Request) -> bool:
    """Whether a request asks for a stream of events instead of a page."""
    return MEDIA_TYPE in request.headers.get("Accept", "")


def event_stream(
    batches: AsyncIterator[list[bytes]], beat_seconds: float = _BEAT_SECONDS
) -> StreamingResponse:
    """Return the answer that sends batches of events as they come.

    Between them a comment says that the stream lives, so that no proxy cuts it.
    """
    return StreamingResponse(_with_beats(batches, beat_seconds), media_type=MEDIA_TYPE)


async def _with_beats(
    batches: AsyncIterator[list[bytes]], beat_seconds: float
) -> AsyncGenerator[bytes]:
    following: asyncio.Task[list[bytes]] | None = None
    try:
        # The headers are sent with the first bytes.
        yield _BEAT
        while True:
            if following is None:
                following = asyncio.create_task(_next(batches))
            await asyncio.wait({following}, timeout=beat_seconds)
            if not following.done():
                yield _BEAT
                continue
            batch, following = following.result(), None
            if not batch:
                return
            for event in batch:
                yield event
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _next(batches: AsyncIterator[list[bytes]]) -> list[bytes]:
    return await anext(batches, [])
