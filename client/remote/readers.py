"""Readers of the events of runs, over HTTP: a stream that comes back, and pages."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import httpx2
from pydantic import JsonValue, TypeAdapter, ValidationError

from kern.client.api.run_resources import EventPage, RunDetails
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.components.operations import Show
from kern.contracts.viewer import Viewer
from kern.events import RunContent, RunContentReset, RunEvent, RunNoted
from kern.values.ids import require_id
from kern.values.validation import require_count

_EVENT: TypeAdapter[RunEvent] = TypeAdapter(RunEvent)
_DOCUMENT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_STOPS = frozenset({"run_paused", "run_completed", "run_failed", "run_cancelled"})
# After so many connections in a row that brought no event, the server is taken to be away.
_PAUSES = (0.2, 1.0, 3.0)


class RemoteReaders:
    """Opens readers. Each method raises as that of `Readers`."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def open(self, viewer: Viewer, run_id: str, after: int, show: Show) -> "RemoteReader":
        """Read a run's events after a number until it is idle."""
        require_count("after", after, least=0)
        await self._identity.check_tenant(viewer)
        return RemoteReader(self._connection, require_id("run_id", run_id), after, show)

    def open_stored(self, viewer: Viewer, run_id: str, after: int) -> "RemotePages":
        """Read the events that are stored."""
        return RemotePages(self._connection, self._identity, viewer, run_id, after)


class RemoteReader:
    """Reads a run's events as they come; a connection that breaks is made again."""

    def __init__(self, connection: Connection, run_id: str, after: int, show: Show) -> None:
        self._connection = connection
        self._run_id = run_id
        self._seq = after
        self._show = show
        self._is_closed = False
        self._events = self._read_all()

    async def read(self) -> Sequence[RunEvent]:
        """Wait for the next events; none when the run is idle and all were read."""
        event = None if self._is_closed else await anext(self._events, None)
        return [] if event is None else [event]

    def close(self) -> None:
        """Stop reading, which the run does not notice."""
        self._is_closed = True

    async def _read_all(self) -> AsyncGenerator[RunEvent]:
        pauses = iter(_PAUSES)
        while True:
            broken, is_at_stop = None, False
            try:
                async for document in self._stream():
                    pauses = iter(_PAUSES)
                    is_at_stop = document.get("kind") in _STOPS
                    event = await event_of(self._connection, document)
                    self._seq = getattr(event, "seq", self._seq)
                    if self._show == "everything" or _is_content(event) or is_at_stop:
                        yield event
            except httpx2.TransportError as error:
                broken, is_at_stop = error, False
            if is_at_stop:
                return
            pause = next(pauses, None)
            if pause is None:
                raise self._connection.interrupted(broken or httpx2.ReadError("it ended"))
            await asyncio.sleep(pause)

    async def _stream(self) -> AsyncGenerator[dict[str, JsonValue]]:
        answer = self._connection.stream(
            "runs",
            self._run_id,
            "events",
            accept="text/event-stream",
            headers={"Last-Event-ID": str(self._seq)},
        )
        async with answer as response:
            async for event in httpx2.EventSource(response):
                if event.data:
                    yield _DOCUMENT.validate_json(event.data)


class RemotePages:
    """Reads the events that are stored, page by page."""

    def __init__(
        self, connection: Connection, identity: Identity, viewer: Viewer, run_id: str, after: int
    ) -> None:
        self._connection = connection
        self._identity = identity
        self._viewer = viewer
        self._run_id = require_id("run_id", run_id)
        self._seq = after

    async def read_now(self) -> Sequence[RunEvent]:
        """Return the next events that are stored; none when all were read."""
        await self._identity.check_tenant(self._viewer)
        path, parameters = ("runs", self._run_id, "events"), {"after": self._seq}
        page = await self._connection.get(EventPage, *path, parameters=parameters)
        self._seq = page.next
        return [await event_of(self._connection, document) for document in page.items]

    def close(self) -> None:
        """Stop reading."""


async def event_of(connection: Connection, document: dict[str, JsonValue]) -> RunEvent:
    """Return the event of a document; a stop gets the run as it is now."""
    if document.get("kind") in _STOPS:
        details = await connection.get(RunDetails, "runs", str(document["run_id"]))
        return _EVENT.validate_python({**document, "output": details.run()})
    try:
        return _EVENT.validate_python(document)
    except ValidationError:
        # A later version has kinds that this one does not know.
        return RunNoted.model_validate(
            {**document, "kind": "noted", "name": str(document.get("kind"))}
        )


def _is_content(event: RunEvent) -> bool:
    return isinstance(event, RunContent | RunContentReset)
