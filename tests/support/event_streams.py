"""Reads server-sent events as a browser does."""

import json
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.waiting import wait_until


@dataclass
class ServerEvent:
    """An event: its name, its id, and what it says."""

    name: str
    id: str
    data: dict[str, Any]
    size: int


@dataclass
class EventReader:
    """What a stream has sent so far.

    Attributes:
        last_id: What a browser would send as `Last-Event-ID`.
        has_ended: Whether the server ended the stream.
    """

    events: list[ServerEvent] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    retry: int | None = None
    last_id: str = ""
    has_ended: bool = False

    def of(self, *names: str) -> list[ServerEvent]:
        """Return the events with these names."""
        return [event for event in list(self.events) if event.name in names]

    def wait_for(self, name: str, count: int = 1) -> list[ServerEvent]:
        """Wait for so many events of a name."""
        wait_until(lambda: len(self.of(name)) >= count)
        return self.of(name)

    def read(self, lines: Iterator[str]) -> None:
        name, data, size = "", "", 0
        for line in lines:
            size += len(line.encode()) + 1
            mark, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match mark:
                case "" if line:
                    self.comments.append(value)
                case "":
                    if data:
                        self.events.append(ServerEvent(name, self.last_id, json.loads(data), size))
                    name, data, size = "", "", 0
                case "event":
                    name = value
                case "data":
                    data += value
                case "id":
                    self.last_id = value
                case "retry":
                    self.retry = int(value)
                case _:
                    raise AssertionError(line)
        self.has_ended = True


@contextmanager
def reading(
    client: httpx2.Client, path: str = "/v1/feed", last_id: str | None = None
) -> Generator[EventReader]:
    """Read a stream in a thread as long as the block lasts."""
    headers = {"Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    reader = EventReader()
    with client.stream("GET", path, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        thread = threading.Thread(target=_read, args=(reader, answer), daemon=True)
        thread.start()
        wait_until(lambda: reader.retry is not None)
        try:
            yield reader
        finally:
            # Wakes the thread, which waits for what may not come for a while.
            with suppress(OSError):
                answer.extensions["network_stream"].get_extra_info("socket").shutdown(
                    socket.SHUT_RDWR
                )
            thread.join(30)


def _read(reader: EventReader, answer: httpx2.Response) -> None:
    # The test may leave, or the server cut it.
    with suppress(httpx2.HTTPError, httpx2.StreamError):
        reader.read(answer.iter_lines())
