"""Iterators over a run's events, for synchronous and for asynchronous callers."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

from kern.events import RunEvent, RunStop
from kern.run import RunOutput
from kern.runner import EventReader, Runner

Typed = Callable[[RunOutput], RunOutput]


def events(runner: Runner, reader: EventReader, typed: Typed) -> Generator[RunEvent]:
    """Yield what a reader reads, and close it when the caller goes."""
    try:
        while batch := runner.call(reader.read()):
            for event in batch:
                yield _typed(event, typed)
    finally:
        reader.close()


async def aevents(
    opened: Callable[[], Awaitable[EventReader]], typed: Typed
) -> AsyncGenerator[RunEvent]:
    """As `events`; the reader is opened when the first event is asked for."""
    reader = await opened()
    try:
        while batch := await reader.read():
            for event in batch:
                yield _typed(event, typed)
    finally:
        reader.close()


def _typed(event: RunEvent, typed: Typed) -> RunEvent:
    if not isinstance(event, RunStop):
        return event
    return event.model_copy(update={"output": typed(event.output)})
