"""Reads what a run's readers have not seen yet, on one consistent state."""

from dataclasses import dataclass, field
from itertools import starmap

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows, table_of
from kern.db.engine.tables import EventRow, MessageRow, RunRow
from kern.db.journal.events import STOPS
from kern.db.reading.run_outputs import find_run, run_output, tool_executions
from kern.run import RunOutput, ToolExecution
from kern.values.states import RunStatus

_AT_ONCE = 200

_runs, _events, _messages = (table_of(kind) for kind in (RunRow, EventRow, MessageRow))
_AFTER = (
    _events.select()
    .where(_events.c.run_id == bindparam("run_id"), _events.c.seq > bindparam("after"))
    .order_by(_events.c.seq)
    .limit(_AT_ONCE)
)
_LAST_STOP = (
    _events.select()
    .where(_events.c.run_id == bindparam("run_id"), _events.c.kind.in_(STOPS))
    .order_by(_events.c.seq.desc())
    .limit(1)
)
_TEXTS = select(_messages.c.turn, _messages.c.content).where(
    _messages.c.run_id == bindparam("run_id"),
    _messages.c.position == 0,
    _messages.c.turn >= bindparam("first"),
    _messages.c.turn <= bindparam("last"),
)
_FOLLOW = (
    _runs.update()
    .where(_runs.c.id == bindparam("run"), _runs.c.is_streamed.is_(False))
    .values(is_streamed=True)
)


@dataclass(frozen=True)
class Standing:
    """How far a run has come."""

    last_event: int
    is_announced: bool


@dataclass(frozen=True)
class News:
    """What came after an event.

    Attributes:
        session_id: The run's session.
        turn: The last turn that is stored.
        events: What happened, in order.
        is_all: Whether no further event is in the table.
        stands_still: Whether the run is paused or has ended.
        texts: The model's text of the turns that `events` tell of, by turn.
        tools: The calls that `events` tell of, by id.
        output: The run as it stands; there if the run stands still or `events` have a stop.
        handed: The answer with which `events` end the run, if its own model did not write it: a
            member of a team did, or the steps of a workflow came to it.
    """

    session_id: str
    turn: int
    events: list[EventRow]
    is_all: bool
    stands_still: bool
    texts: dict[int, str] = field(default_factory=dict)
    tools: dict[str, ToolExecution] = field(default_factory=dict)
    output: RunOutput | None = None
    handed: str | None = None


def standing(tx: Session, run_id: str, viewer: Viewer) -> Standing:
    """Say how far a run has come, and whether its writers tell of what they write.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    run = find_run(tx, run_id, viewer)
    return Standing(run.last_event, run.is_streamed or RunStatus(run.status).is_final)


def follow(tx: Session, run_id: str) -> None:
    """Have a run's writers tell of what they write from now on, and its model stream."""
    tx.connection().execute(_FOLLOW, {"run": run_id})


def news(tx: Session, run_id: str, viewer: Viewer, after: int) -> News:
    """Read what happened in a run after an event, with what is needed to tell it.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    run = find_run(tx, run_id, viewer)
    events = list(rows(tx, EventRow, _AFTER, run_id=run_id, after=after))
    is_all = run.last_event <= (events[-1].seq if events else after)
    stands_still = RunStatus(run.status).is_idle
    kinds = {event.kind for event in events}
    ends = is_all and stands_still
    if ends and not kinds.intersection(STOPS):
        # Whoever comes back to a run that stands still is told so once more.
        events = [*events, *rows(tx, EventRow, _LAST_STOP, run_id=run_id)]
    needs_output = ends or bool(kinds.intersection(STOPS))
    handed = _spoken(tx, run_id, run.turn + 1, run.turn + 1) if "run_completed" in kinds else {}
    return News(
        session_id=run.session_id,
        turn=run.turn,
        events=events,
        is_all=is_all,
        stands_still=stands_still,
        texts=_texts(tx, run_id, events),
        tools=_tools(tx, run_id) if any(k.startswith("tool_call_") for k in kinds) else {},
        output=run_output(tx, run_id, viewer) if needs_output else None,
        handed=handed.get(run.turn + 1),
    )


def turn_of(event: EventRow) -> int:
    """Return the turn of which a `turn_completed` tells."""
    turn = event.data.get("turn")
    return turn if isinstance(turn, int) else 0


def _texts(tx: Session, run_id: str, events: list[EventRow]) -> dict[int, str]:
    turns = [turn_of(event) for event in events if event.kind == "turn_completed"]
    return _spoken(tx, run_id, min(turns), max(turns)) if turns else {}


def _spoken(tx: Session, run_id: str, first: int, last: int) -> dict[int, str]:
    span = {"run_id": run_id, "first": first, "last": last}
    return dict(starmap(_pair, tx.connection().execute(_TEXTS, span)))


def _pair(turn: int, content: str) -> tuple[int, str]:
    return turn, content


def _tools(tx: Session, run_id: str) -> dict[str, ToolExecution]:
    return {one.id: one for one in tool_executions(tx, run_id)}
