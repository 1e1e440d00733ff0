"""The route of what happens in a run: as a page, or as a stream of server-sent events."""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import JsonValue

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import MOST_NUMBER
from kern.client.api.run_resources import EventPage
from kern.client.api.runs import RunId
from kern.client.service.reading import RunReader
from kern.client.web.callers import Reader, ServiceOf
from kern.client.web.event_stream import MEDIA_TYPE, event_stream, wants_events
from kern.errors import Unavailable
from kern.events import RunEvent

router = APIRouter(prefix="/runs", tags=["runs"], responses=PROBLEMS)
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page of events, or, if `text/event-stream` is accepted, a stream of them "
        "that ends when the run pauses or ends.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.get("/{run_id}/events", response_model=EventPage, responses=_STREAM)
async def read_events(
    request: Request,
    service: ServiceOf,
    caller: Reader,
    run_id: RunId,
    *,
    after: Annotated[
        int, Query(ge=0, le=MOST_NUMBER, description="Only those after this number.")
    ] = 0,
    last_event_id: Annotated[
        int | None,
        Header(ge=0, le=MOST_NUMBER, description="As `after`, which a stream sends that resumes."),
    ] = None,
) -> EventPage | StreamingResponse:
    """Read what happened in a run; as a stream, until it pauses or ends."""
    full = await service.runs.full_id(caller.viewer, run_id)
    position = after if last_event_id is None else last_event_id
    if wants_events(request):
        reader = await service.readers.watch(caller.viewer, full, position)
        return event_stream(request, _batches(reader))
    status = await service.runs.status(caller.viewer, full)
    stored = service.readers.open_stored(caller.viewer, full, position)
    try:
        events = await stored.read_now()
    finally:
        stored.close()
    # The last stop of an idle run comes again, so that a reader who returns ends, too.
    fresh = [event for event in events if _is_after(event, position)]
    last = max([position, *(number for event in fresh if (number := _number(event)) is not None)])
    return EventPage(items=[document(event) for event in fresh], next=last, is_idle=status.is_idle)


async def _batches(reader: RunReader) -> AsyncGenerator[list[bytes]]:
    try:
        while batch := await reader.read():
            yield _encoded(batch)
    except Unavailable:
        # The server stops, or its database is away: the reader comes back with the last number.
        return
    finally:
        reader.close()


def _encoded(events: Sequence[RunEvent]) -> list[bytes]:
    return [
        format_sse_event(
            event=event.kind,
            id=None if (number := _number(event)) is None else str(number),
            data_str=event.model_dump_json(exclude={"output"}),
        )
        for event in events
    ]


def document(event: RunEvent) -> dict[str, JsonValue]:
    """Return an event as programs are shown it: of a stop, without the run."""
    return event.model_dump(mode="json", exclude={"output"})


def _number(event: RunEvent) -> int | None:
    return getattr(event, "seq", None)


def _is_after(event: RunEvent, position: int) -> bool:
    number = _number(event)
    return number is None or number > position
