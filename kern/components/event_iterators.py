"""Iterators over a run's events, for synchronous and for asynchronous callers."""

from collections.abc import AsyncGenerator, Callable, Generator

from kern.components.component import Component
from kern.components.operations import EventReader, Show
from kern.components.runner import Runner, Work, arunner_for
from kern.errors import InvalidInput
from kern.events import RunEvent, RunStop
from kern.run import RunOutput
from kern.values.validation import require_bools

OutputCast = Callable[[RunOutput], RunOutput]


def events(runner: Runner, reader: EventReader, cast_output: OutputCast) -> Generator[RunEvent]:
    """Yield what a reader reads, and close it when the caller goes."""
    try:
        while batch := runner.call(lambda _: reader.read()):
            for event in batch:
                yield _with_cast(event, cast_output)
    finally:
        reader.close()


async def aevents(
    component: Component, opening: Work[EventReader], cast_output: OutputCast
) -> AsyncGenerator[RunEvent]:
    """As `events`; the reader is opened when the first event is asked for."""
    runner = await arunner_for(component)
    reader = await runner.acall(opening)
    try:
        while batch := await runner.acall(lambda _: reader.read()):
            for event in batch:
                yield _with_cast(event, cast_output)
    finally:
        reader.close()


def shown_with(with_all_events: bool) -> Show:  # noqa: FBT001  one value, named by what calls it
    """Say what of a run is shown.

    Raises:
        InvalidInput: it is neither.
    """
    require_bools(InvalidInput, stream_events=with_all_events)
    return "everything" if with_all_events else "content"


def selection(*, stream: bool, stream_events: bool, background: bool = False) -> Show | None:
    """Say what of a run is shown; None if it is not streamed.

    Raises:
        InvalidInput: the options do not go together.
    """
    require_bools(InvalidInput, stream=stream, stream_events=stream_events, background=background)
    if not stream:
        if stream_events:
            message = "stream_events=True is for stream=True: pass both."
            raise InvalidInput(message)
        return None
    if background:
        message = (
            "stream=True reads a run and background=True leaves it: choose one. A run that was "
            "left is read with stream_run."
        )
        raise InvalidInput(message)
    return shown_with(stream_events)


def _with_cast(event: RunEvent, cast_output: OutputCast) -> RunEvent:
    if not isinstance(event, RunStop):
        return event
    return event.model_copy(update={"output": cast_output(event.output)})
