"""Reads the window of a session's history: one statement, by index, however long the session is."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Label,
    Subquery,
    bindparam,
    cast,
    literal_column,
    null,
    select,
    union_all,
)
from sqlmodel import Session

from kern.context.history_window import Waiting, Window, fitted, paused_line
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import MESSAGES, REQUIREMENTS, RUNS
from kern.db.reading import files
from kern.db.reading.run_outputs import message_of
from kern.run import Message
from kern.values.states import RequirementKind, RequirementStatus, RunStatus

# What waits is shown however long ago it began, so it needs a bound of its own.
_PAUSED_RUNS = 20
_PAUSED_QUESTIONS = 100

_runs, _messages, _requirements = (RUNS.table, MESSAGES.table, REQUIREMENTS.table)
_asked = _requirements.c
_ASKED = {
    "asked_id": _asked.id,
    "asked_kind": _asked.kind,
    "asked_tool": _asked.tool_name,
    "asked_arguments": _asked.arguments,
    "asked_question": _asked.question,
    "asked_fields": _asked.fields,
    "asked_input": _runs.c.input,
}


def earlier(tx: Session, session_id: str, before: int, window: Window) -> list[Message]:
    """Return what a model sees of the runs of a session that are numbered below `before`.

    Completed runs have their messages; what a paused run waits for is one line, also where it is
    older than the window. Others are left out.
    """
    query = window_query(window)
    found: Any = execute(tx, query, session_id=session_id, before=before).all()
    known = files.references(tx, (one for row in found for one in row.files or ()))
    seen: list[Message] = []
    for _, group in groupby(found, key=lambda row: row.number):
        rows = list(group)
        if rows[0].asked_id is None:
            seen += [message_of(row, known) for row in rows]
        else:
            seen.append(_paused(rows))
    return fitted(seen, window.tool_calls)


@cache
def window_query(window: Window) -> CompoundSelect[Any]:
    """Build the statement of a window, once.

    Its limits stand in its text: a plan that is made for any limit would read the whole session.
    """
    said, asked = _said(window), _waiting()
    order = ("number", "turn", "position", "asked_id")
    return union_all(select(said), select(asked)).order_by(*order)


def _said(window: Window) -> Subquery:
    """Select the messages of the latest completed runs."""
    # A completed run has two messages or more, and each of its turns has one or more.
    most = window.runs if window.messages is None else window.messages // 2 + 1
    done = _latest(RunStatus.completed, most or 0)
    query = select(
        done.c.number, *_messages.c, *(_nothing(name, column) for name, column in _ASKED.items())
    ).join_from(done, _messages, _messages.c.run_id == done.c.id)
    if window.messages is not None:
        query = (
            query.where(_messages.c.turn > done.c.turn - literal_column(str(window.messages)))
            .order_by(done.c.number.desc(), _messages.c.turn.desc(), _messages.c.position.desc())
            .limit(literal_column(str(window.messages)))
        )
    return query.subquery("said")


def _waiting() -> Subquery:
    """Select what the latest paused runs wait for."""
    halted = _latest(RunStatus.paused, _PAUSED_RUNS)
    columns = [
        (halted.c.input if column is _runs.c.input else column).label(name)
        for name, column in _ASKED.items()
    ]
    query = (
        select(
            halted.c.number, *(_nothing(column.name, column) for column in _messages.c), *columns
        )
        .join_from(halted, _requirements, _asked.root_run_id == halted.c.id)
        .where(_asked.status == RequirementStatus.pending.value)
        .limit(literal_column(str(_PAUSED_QUESTIONS)))
    )
    return query.subquery("waiting")


def _latest(status: RunStatus, most: int) -> Subquery:
    query = (
        select(_runs.c.id, _runs.c.number, _runs.c.turn, _runs.c.input)
        .where(
            _runs.c.session_id == bindparam("session_id"),
            _runs.c.status == status.value,
            _runs.c.number < bindparam("before"),
            # What members of a team said is in the team's runs.
            _runs.c.number > 0,
        )
        .order_by(_runs.c.number.desc())
        .limit(literal_column(str(most)))
    )
    return query.subquery(status.value)


def _nothing(name: str, column: ColumnElement[Any]) -> Label[Any]:
    return cast(null(), column.type).label(name)


def _paused(rows: Sequence[Any]) -> Message:
    waiting = [
        Waiting(
            kind=RequirementKind(row.asked_kind),
            tool_name=row.asked_tool,
            arguments=row.asked_arguments,
            question=row.asked_question,
            fields=[field["name"] for field in row.asked_fields],
        )
        for row in rows
    ]
    return Message(role="user", content=paused_line(rows[0].asked_input, waiting))
