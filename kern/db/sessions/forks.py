"""Forks: a new session that goes on from a copy of what was said in another one."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, literal, select, update
from sqlmodel import Session, SQLModel

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import add, add_row, execute, new_row, table_of
from kern.db.engine.tables import EventRow, FileRow, MessageRow, RunRow, SessionRow
from kern.db.reading.run_outputs import find_run, session_row
from kern.db.sessions import records
from kern.errors import InvalidInput
from kern.values.ids import new_id, require_id
from kern.values.states import RunStatus

_runs, _messages, _files = (table_of(kind) for kind in (RunRow, MessageRow, FileRow))
# What a copy neither cost nor went through.
_NOTHING: dict[str, object] = {
    # It has one event of its own: that it is completed.
    "last_event": 1,
    "input_tokens": 0,
    "output_tokens": 0,
    "cached_tokens": 0,
    "reasoning_tokens": 0,
    "model_calls": 0,
    "tool_calls": 0,
    "first_token_seconds": None,
    "working_seconds": 0.0,
    "waiting_seconds": 0.0,
    "shape": None,
    "steps_opened": 0,
    "steps_known": 0,
    "steps_done": 0,
    "started_at": None,
    "counted_at": None,
}


def fork(
    tx: Session,
    session_id: str,
    viewer: Viewer,
    now: datetime,
    *,
    fork_id: str,
    run_id: str | None = None,
) -> str:
    """Copy a session's completed runs, or those up to one, into a new session of the same owner.

    The messages, the files and the present state are copied. What was decided, the tool calls, the
    events and the runs of members stay with the runs in which they happened.

    Raises:
        InvalidInput: the run is not of this session; else as `find_session`.
    """
    source = records.lock(tx, session_id, viewer)
    known = session_row(tx, fork_id)
    if known is not None and known.forked_from == session_id:
        # Nobody heard of the commit, so this is executed again.
        return fork_id
    until = None if run_id is None else _number_of(tx, source, run_id, viewer)
    ours = _ours(session_id, until)
    query = select(_runs.c.id, _runs.c.number).where(ours).order_by(_runs.c.number)
    copied = [_Run(row.id, row.number) for row in execute(tx, query)]
    told = sum(1 for run in copied if run.number <= source.summary_number)
    # A summary that tells of what is not copied would tell of another conversation.
    fits = until is None or source.summary_number <= until
    row = new_row(
        SessionRow,
        id=fork_id,
        user_id=source.user_id,
        component_id=source.component_id,
        name=source.name,
        state=source.state,
        next_number=len(copied) + 1,
        summary=source.summary if fits else None,
        summary_number=told if fits else 0,
        forked_from=session_id,
        created_at=now,
        updated_at=now,
    )
    add_row(tx, SessionRow, row)
    files = _copy_files(tx, ours, fork_id)
    for number, run in enumerate(copied, start=1):
        changed: dict[str, object] = {"session_id": fork_id, "number": number}
        if not fits:
            changed["is_summarised"] = False
        copy = new_id()
        _copy_run(tx, run.id, copy, changed, files)
        # Whoever reads it as it happens is told how it ended.
        add(tx, EventRow, run_id=copy, seq=1, kind="run_completed", data={}, created_at=now)
    return fork_id


def _number_of(tx: Session, source: SessionRow, run_id: str, viewer: Viewer) -> int:
    run = find_run(tx, require_id("run_id", run_id), viewer)
    if run.session_id != source.id:
        message = f"Run {run_id!r} is not of session {source.id!r}, but of {run.session_id!r}."
        raise InvalidInput(message)
    return run.number


class _Run(NamedTuple):
    id: str
    number: int


def _ours(session_id: str, until: int | None) -> ColumnElement[bool]:
    """Say which runs are copied. Those inside them stay with the originals, as their calls do."""
    completed = (
        (_runs.c.session_id == session_id)
        & (_runs.c.status == RunStatus.completed.value)
        & _runs.c.parent_run_id.is_(None)
    )
    return completed if until is None else completed & (_runs.c.number <= until)


def _copy_files(tx: Session, ours: ColumnElement[bool], fork_id: str) -> dict[str, str]:
    """Copy the files that came with the runs that are copied."""
    query = (
        select(_messages.c.files)
        .join(_runs, _runs.c.id == _messages.c.run_id)
        .where(ours, _messages.c.files.is_not(None))
    )
    found = {one for files in execute(tx, query).scalars() for one in files or ()}
    ids = {old: new_id() for old in sorted(found)}
    for old, new in ids.items():
        _copy(tx, FileRow, _files.c.id == old, {"id": new, "session_id": fork_id})
    return ids


def _copy_run(
    tx: Session, old: str, new: str, changed: dict[str, object], files: dict[str, str]
) -> None:
    values = {**_NOTHING, **changed, "id": new, "forked_from": old}
    _copy(tx, RunRow, _runs.c.id == old, values)
    _copy(tx, MessageRow, _messages.c.run_id == old, {"run_id": new})
    if not files:
        return
    of_run = _messages.c.run_id == new
    query = select(_messages.c.turn, _messages.c.position, _messages.c.files)
    for row in execute(tx, query.where(of_run)).all():
        if row.files:
            place = (_messages.c.turn == row.turn) & (_messages.c.position == row.position)
            theirs = [files.get(one, one) for one in row.files]
            execute(tx, update(_messages).where(of_run, place).values(files=theirs))


def _copy(
    tx: Session, kind: type[SQLModel], where: ColumnElement[bool], changed: dict[str, object]
) -> None:
    """Copy rows inside the database, with some of their columns changed."""
    table = table_of(kind)
    taken = [
        literal(changed[column.name], column.type) if column.name in changed else column
        for column in table.c
    ]
    copied = table.insert().from_select(table.c.keys(), select(*taken).where(where))
    execute(tx, copied)
