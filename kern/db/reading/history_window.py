"""Reads the window of a session's history: by index, however long the session is.

One statement reads the messages of completed runs and what paused ones wait for, another one the
calls that were executed in runs without an answer.
"""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Label,
    Subquery,
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
from kern.db.reading.executed_calls import executed_in_unfinished_runs
from kern.db.reading.latest_runs import latest_runs
from kern.db.reading.run_outputs import message_of
from kern.run import Message
from kern.values.states import RequirementKind, RequirementStatus, RunStatus

# Paused runs are parts however old they are, so they have a bound of their own.
_PAUSED_RUNS = 20
_PAUSED_QUESTIONS = 100

_runs, _messages, _requirements = (RUNS.table, MESSAGES.table, REQUIREMENTS.table)
_questions = _requirements.c
_QUESTION_COLUMNS = {
    "asked_id": _questions.id,
    "asked_kind": _questions.kind,
    "asked_tool": _questions.tool_name,
    "asked_arguments": _questions.arguments,
    "asked_question": _questions.question,
    "asked_fields": _questions.fields,
    "asked_input": _runs.c.input,
}


def earlier(tx: Session, session_id: str, before: int, window: Window) -> list[Message]:
    """Return what a model sees of the runs of a session that are numbered below `before`.

    Completed runs are parts with their messages. A paused run is one line that says what it waits
    for, even if it is older than the window. Of all runs that did not complete, a line says which
    calls were executed: that happened, whatever became of the run.
    """
    query = window_query(window)
    records: Any = execute(tx, query, session_id=session_id, before=before).all()
    files_by_id = files.references(tx, (file_id for row in records for file_id in row.files or ()))
    executed = executed_in_unfinished_runs(tx, session_id, before)
    parts: list[tuple[int, list[Message]]] = [(number, [line]) for number, line in executed.items()]
    for number, group in groupby(records, key=lambda row: row.number):
        rows = list(group)
        if rows[0].asked_id is None:
            parts.append((number, [message_of(row, files_by_id) for row in rows]))
        else:
            parts.append((number, [_paused(rows)]))
    # Stable: what a paused run has done comes before what it waits for.
    parts.sort(key=lambda item: item[0])
    return fitted([message for _, group in parts for message in group], window.tool_calls)


@cache
def window_query(window: Window) -> CompoundSelect[Any]:
    """Build the statement of a window, once.

    The limits are part of its text: a plan for any limit would read the whole session.
    """
    messages, questions = _messages_of_runs(window), _open_questions()
    order = ("number", "turn", "position", "asked_id")
    return union_all(select(messages), select(questions)).order_by(*order)


def _messages_of_runs(window: Window) -> Subquery:
    """Select the messages of the latest completed runs."""
    # A completed run has two messages or more, and each of its turns has one or more.
    most = window.runs if window.messages is None else window.messages // 2 + 1
    done = latest_runs(RunStatus.completed, most or 0)
    query = select(
        done.c.number,
        *_messages.c,
        *(_null(name, column) for name, column in _QUESTION_COLUMNS.items()),
    ).join_from(done, _messages, _messages.c.run_id == done.c.id)
    if window.messages is not None:
        query = (
            query.where(_messages.c.turn > done.c.turn - literal_column(str(window.messages)))
            .order_by(done.c.number.desc(), _messages.c.turn.desc(), _messages.c.position.desc())
            .limit(literal_column(str(window.messages)))
        )
    return query.subquery("said")


def _open_questions() -> Subquery:
    """Select what the latest paused runs wait for."""
    paused = latest_runs(RunStatus.paused, _PAUSED_RUNS)
    columns = [
        (paused.c.input if column is _runs.c.input else column).label(name)
        for name, column in _QUESTION_COLUMNS.items()
    ]
    query = (
        select(paused.c.number, *(_null(column.name, column) for column in _messages.c), *columns)
        .join_from(paused, _requirements, _questions.root_run_id == paused.c.id)
        .where(_questions.status == RequirementStatus.pending.value)
        .limit(literal_column(str(_PAUSED_QUESTIONS)))
    )
    return query.subquery("waiting")


def _null(name: str, column: ColumnElement[Any]) -> Label[Any]:
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
