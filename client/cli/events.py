"""Lists the events of a run, and follows them as they come."""

import json
import sys

from kern.client.cli.access import perform
from kern.client.cli.identifiers import find_run
from kern.client.cli.printing import one_line, say, show_call
from kern.client.service.operations import OperatorService, StoredEventReader
from kern.components.operations import EventReader
from kern.contracts.viewer import present_operator
from kern.events import (
    RunContent,
    RunEvent,
    RunNoted,
    ToolCallCompleted,
    ToolCallStarted,
    TurnCompleted,
    TurnStarted,
)

_LONGEST = 160


def print_events(run_id: str, *, after: int, follow: bool, as_json: bool) -> None:
    """Print a run's events after a number."""
    perform(lambda service: _print(service, run_id, after, follow=follow, as_json=as_json))


async def _print(
    service: OperatorService, run_id: str, after: int, *, follow: bool, as_json: bool
) -> None:
    viewer = present_operator()
    full = await find_run(service, run_id)
    reader: EventReader | StoredEventReader
    if follow:
        reader = live = await service.readers.open(viewer, full, after, "everything")
        read = live.read
    else:
        reader = stored = service.readers.open_stored(viewer, full, after)
        read = stored.read_now
    try:
        while batch := await read():
            for event in batch:
                _say(event, as_json=as_json)
    finally:
        reader.close()


def _say(event: RunEvent, *, as_json: bool) -> None:
    if as_json:
        document = event.model_dump(mode="json", exclude={"output"})
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
        return
    number, at = getattr(event, "seq", None), getattr(event, "created_at", None)
    when = "" if at is None else f"{at:%H:%M:%S}"
    name = event.name if isinstance(event, RunNoted) else event.kind
    say(f"{number or '':>5}  {when:8}  {name:20}  {_about(event)}".rstrip())


def _about(event: RunEvent) -> str:
    match event:
        case RunContent():
            return one_line(event.content, _LONGEST)
        case TurnStarted() | TurnCompleted():
            return f"turn {event.turn}"
        case ToolCallStarted():
            return one_line(show_call(event.tool.tool_name, event.tool.arguments), _LONGEST)
        case ToolCallCompleted():
            return one_line(f"{event.tool.tool_name}: {event.tool.result}", _LONGEST)
        case RunNoted():
            return one_line(
                ", ".join(f"{key}={value}" for key, value in event.data.items()), _LONGEST
            )
        case _:
            return ""
