"""Reads the news of a run for its readers, on one consistent state."""

from dataclasses import dataclass, field
from itertools import starmap

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import EventRecord
from kern.db.engine.typed_tables import EVENTS, MESSAGES, RUNS
from kern.db.journal.events import STOPS
from kern.db.reading.run_outputs import find_run, run_output, tool_executions
from kern.run import RunOutput, ToolExecution
from kern.values.states import RunStatus

_BATCH = 200

_runs, _events, _messages = (RUNS.table, EVENTS.table, MESSAGES.table)
_AFTER = (
    _events.select()
    .where(_events.c.run_id == bindparam("run_id"), _events.c.seq > bindparam("after"))
    .order_by(_events.c.seq)
    .limit(_BATCH)
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
_MARK_STREAMED = (
    _runs.update()
    .where(_runs.c.id == bindparam("run"), _runs.c.is_streamed.is_(False))
    .values(is_streamed=True)
)


@dataclass(frozen=True)
class Position:
    """The progress of a run: its last event, and whether its writers announce news."""

    last_event: int
    is_announced: bool


@dataclass(frozen=True)
class News:
    """The news of a run after an event.

    Attributes:
        session_id: The run's session.
        turn: The last turn that is stored.
        events: What happened, in order.
        is_all: Whether no further event is in the table.
        is_idle: Whether the run is idle: paused, or ended.
        texts: The model's text of the turns that `events` complete, by turn.
        tools: The calls that `events` are about, by id.
        output: The run's output; set if the run is idle or `events` have a stop.
        delegated_answer: The answer with which `events` end the run, if its own model did not
            write it, but a member of a team or the steps of a workflow.
    """

    session_id: str
    turn: int
    events: list[EventRecord]
    is_all: bool
    is_idle: bool
    texts: dict[int, str] = field(default_factory=dict)
    tools: dict[str, ToolExecution] = field(default_factory=dict)
    output: RunOutput | None = None
    delegated_answer: str | None = None


def position(tx: Session, run_id: str, viewer: Viewer) -> Position:
    """Return the progress of a run, and whether its writers announce news.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    run = find_run(tx, run_id, viewer)
    return Position(run.last_event, run.is_streamed or RunStatus(run.status).is_final)


def mark_streamed(tx: Session, run_id: str) -> None:
    """Have a run's writers announce news from now on, and its model stream."""
    tx.connection().execute(_MARK_STREAMED, {"run": run_id})


def news(tx: Session, run_id: str, viewer: Viewer, after: int) -> News:
    """Read the events of a run after one of them, with the rows that describe them.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    run = find_run(tx, run_id, viewer)
    events = list(rows(tx, EVENTS, _AFTER, run_id=run_id, after=after))
    is_all = run.last_event <= (events[-1].seq if events else after)
    is_idle = RunStatus(run.status).is_idle
    kinds = {event.kind for event in events}
    is_at_stop = is_all and is_idle
    if is_at_stop and not kinds.intersection(STOPS):
        # A reader that comes back to an idle run gets its last stop once more.
        events = [*events, *rows(tx, EVENTS, _LAST_STOP, run_id=run_id)]
    needs_output = is_at_stop or bool(kinds.intersection(STOPS))
    delegated_answers = (
        _texts_of_turns(tx, run_id, run.turn + 1, run.turn + 1) if "run_completed" in kinds else {}
    )
    return News(
        session_id=run.session_id,
        turn=run.turn,
        events=events,
        is_all=is_all,
        is_idle=is_idle,
        texts=_texts(tx, run_id, events),
        tools=_tools(tx, run_id) if any(k.startswith("tool_call_") for k in kinds) else {},
        output=run_output(tx, run_id, viewer) if needs_output else None,
        delegated_answer=delegated_answers.get(run.turn + 1),
    )


def turn_of(event: EventRecord) -> int:
    """Return the turn that a `turn_completed` is about."""
    turn = event.data.get("turn")
    return turn if isinstance(turn, int) else 0


def _texts(tx: Session, run_id: str, events: list[EventRecord]) -> dict[int, str]:
    turns = [turn_of(event) for event in events if event.kind == "turn_completed"]
    return _texts_of_turns(tx, run_id, min(turns), max(turns)) if turns else {}


def _texts_of_turns(tx: Session, run_id: str, first: int, last: int) -> dict[int, str]:
    span = {"run_id": run_id, "first": first, "last": last}
    return dict(starmap(_pair, tx.connection().execute(_TEXTS, span)))


def _pair(turn: int, content: str) -> tuple[int, str]:
    return turn, content


def _tools(tx: Session, run_id: str) -> dict[str, ToolExecution]:
    return {execution.id: execution for execution in tool_executions(tx, run_id)}
