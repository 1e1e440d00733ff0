"""Lists the events of a run, and follows them as they come."""

import asyncio
import json
import sys

from kern.client.cli import store
from kern.client.cli.printing import one_line, say, show_call
from kern.client.service.streams import Readers
from kern.contracts.viewer import OPERATOR
from kern.db.engine.store import Store
from kern.db.reading import listings
from kern.events import (
    RunContent,
    RunEvent,
    RunNoted,
    ToolCallCompleted,
    ToolCallStarted,
    TurnCompleted,
    TurnStarted,
)
from kern.process.settings import read_settings

_LONGEST = 160


def print_events(given: str, *, after: int, follow: bool, as_json: bool) -> None:
    """Print a run's events after a number."""
    with store.existing_database(read_settings()) as db:
        run_id = db.read_now(lambda tx: listings.full_run_id(tx, given))
        asyncio.run(_print(db, run_id, after=after, follow=follow, as_json=as_json))


async def _print(db: Store, run_id: str, *, after: int, follow: bool, as_json: bool) -> None:
    readers = Readers(db)
    if follow:
        reader = await readers.open(run_id, OPERATOR, after, "everything")
    else:
        # Whoever only looks asks nobody to tell of what comes.
        follower = db.broadcaster.follow(run_id)
        reader = readers.reader(follower, OPERATOR, "everything", after=after)
    try:
        while batch := await (reader.read() if follow else reader.read_now()):
            for event in batch:
                _say(event, as_json=as_json)
    finally:
        reader.close()
        await readers.close()


def _say(event: RunEvent, *, as_json: bool) -> None:
    if as_json:
        told = event.model_dump(mode="json", exclude={"output"})
        sys.stdout.write(json.dumps(told) + "\n")
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
            return one_line(show_call(event.tool.name, event.tool.arguments), _LONGEST)
        case ToolCallCompleted():
            return one_line(f"{event.tool.name}: {event.tool.result}", _LONGEST)
        case RunNoted():
            return one_line(
                ", ".join(f"{key}={value}" for key, value in event.data.items()), _LONGEST
            )
        case _:
            return ""
