"""The feed as server-sent events: for programs, and for the pages of the console.

An event has the number of its entry as its id, which a browser sends back as `Last-Event-ID` when
it comes again: nothing is missed in between. Beats have ids too, so that whoever is shown little of
the feed comes back with a late number all the same.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import JsonValue

from kern.client.service.feed import FeedReader, FeedReset, FeedSelection
from kern.client.service.service import Service
from kern.client.web.event_stream import MEDIA_TYPE
from kern.client.web.problems import FieldProblem, ProblemError
from kern.client.web.stopping import stopping_of
from kern.contracts.caller import Caller
from kern.contracts.feed import FeedEntry
from kern.errors import Unavailable
from kern.values.feed import COUNTED, event_of

# Proxies cut what is silent for half a minute or more.
_BEAT_SECONDS = 20.0
_RETRY_MILLISECONDS = 3_000
# Counting is a query for each reader: many entries at once are one count.
_COUNT_SECONDS = 2.0
_MOST_BYTES = 1_000
_DIGITS = 19
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

# What a page shows as numbers, by name, such as `inbox`.
Counts = Callable[[Caller], Awaitable[Mapping[str, int]]]


async def event_stream(
    request: Request,
    service: Service,
    caller: Caller,
    selection: FeedSelection,
    *,
    last_event_id: str | None = None,
    counts: Counts | None = None,
) -> StreamingResponse:
    """Return the answer that sends a caller the feed until they leave, or the server stops.

    Args:
        request: The request that it answers.
        service: The service behind it.
        caller: Who reads.
        selection: What they are shown of the feed.
        last_event_id: The `Last-Event-ID` that they sent; None for what happens from now on.
        counts: Returns what the event `counts` says; default: what waits for the caller.

    Raises:
        ProblemError: `last_event_id` is none that was ever sent.
    """
    after = None if last_event_id is None else event_number(last_event_id)
    reader = await service.feed.reader(selection, after)
    stream = _Stream(reader, caller, counts or _inbox_counts(service))
    events = stream.events(stopping_of(request.scope))
    return StreamingResponse(events, media_type=MEDIA_TYPE, headers=_HEADERS)


def event_number(text: str) -> int:
    """Return the number in a `Last-Event-ID`.

    Raises:
        ProblemError: there is none.
    """
    if text.isascii() and text.isdigit() and len(text) < _DIGITS:
        return int(text)
    detail = "Last-Event-ID is none that was ever sent: send that of the last event, or none."
    field = FieldProblem(field="header.Last-Event-ID", message="not the number of an event")
    raise ProblemError(422, "invalid_input", detail, errors=[field])


def facts_of(entry: FeedEntry) -> dict[str, JsonValue]:
    """Return what an event says of an entry, in less than a kilobyte."""
    verdict, by = entry.data.get("verdict"), entry.data.get("by")
    facts: dict[str, JsonValue] = {
        "requirement": entry.requirement_id,
        "run": entry.run_id,
        "kind": entry.kind,
        "verdict": verdict if isinstance(verdict, str) else None,
        "by": by if isinstance(by, str) else None,
        "text": entry.text,
        "at": f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    facts = {name: value for name, value in facts.items() if value is not None}
    for name in ("by", "run", "text"):
        # Ids that programs choose may be long.
        if len(_json(facts).encode()) > _MOST_BYTES:
            facts.pop(name, None)
    return facts


class _Stream:
    """What one reader is sent."""

    def __init__(self, reader: FeedReader, caller: Caller, counts: Counts) -> None:
        self._reader, self._caller, self._counts = reader, caller, counts
        self._clock = asyncio.get_running_loop().time
        self._last_counts: Mapping[str, int] | None = None
        self._is_count_due, self._next_count = True, 0.0
        self._reading: asyncio.Task[Sequence[FeedEntry | FeedReset]] | None = None
        self._counting: asyncio.Future[Mapping[str, int]] | None = None

    async def events(self, stopping: asyncio.Event) -> AsyncGenerator[bytes]:
        """Yield events until the server or this process stops."""
        yield format_sse_event(retry=_RETRY_MILLISECONDS)
        stop = asyncio.create_task(stopping.wait())
        try:
            with contextlib.suppress(Unavailable):
                while not stop.done():
                    for event in await self._next(stop):
                        yield event
        finally:
            for task in (stop, self._reading, self._counting):
                if task is not None:
                    task.cancel()

    async def _next(self, stop: asyncio.Task[bool]) -> list[bytes]:
        """Wait for what comes next: entries never wait for a count."""
        now = self._clock()
        if self._counting is None and self._is_count_due and now >= self._next_count:
            self._is_count_due, self._next_count = False, now + _COUNT_SECONDS
            self._counting = asyncio.ensure_future(self._counts(self._caller))
        if self._reading is None:
            self._reading = asyncio.create_task(self._reader.read(_BEAT_SECONDS))
        is_waiting = self._counting is None and self._is_count_due
        await asyncio.wait(
            {task for task in (stop, self._reading, self._counting) if task is not None},
            timeout=self._next_count - now if is_waiting else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        return [*self._counted(), *self._read()]

    def _read(self) -> list[bytes]:
        if self._reading is None or not self._reading.done():
            return []
        items, self._reading = self._reading.result(), None
        self._note(items)
        if not items:
            return [format_sse_event(comment="beat", id=str(self._reader.seq))]
        return [_event(item) for item in items]

    def _note(self, items: Sequence[FeedEntry | FeedReset]) -> None:
        for item in items:
            if isinstance(item, FeedReset) or (
                item.kind in COUNTED and item.audience.includes(self._caller.principal)
            ):
                self._is_count_due = True

    def _counted(self) -> list[bytes]:
        if self._counting is None or not self._counting.done():
            return []
        present, self._counting = self._counting.result(), None
        if present == self._last_counts:
            return []
        self._last_counts = present
        return [format_sse_event(event="counts", data_str=_json(dict(present)))]


def _event(item: FeedEntry | FeedReset) -> bytes:
    if isinstance(item, FeedReset):
        return format_sse_event(event="reset", data_str="{}", id=str(item.seq))
    facts = _json(facts_of(item))
    return format_sse_event(event=event_of(item.kind), data_str=facts, id=str(item.seq))


def _json(facts: Mapping[str, JsonValue]) -> str:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))


def _inbox_counts(service: Service) -> Counts:
    async def counts(caller: Caller) -> Mapping[str, int]:
        return {"inbox": await service.feed.count_for_me(caller.viewer, caller.principal)}

    return counts
