"""Forks: a new session that continues from a copy of another one."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Table, literal, select, update
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import add, add_row, execute, new_row
from kern.db.engine.records import SessionRecord
from kern.db.engine.typed_tables import EVENTS, FILES, MESSAGES, RUNS, SESSIONS
from kern.db.reading.run_outputs import find_run, session_row
from kern.db.sessions import records
from kern.errors import InvalidInput
from kern.values.ids import new_id, require_id
from kern.values.states import RunStatus

_runs, _messages, _files = (RUNS.table, MESSAGES.table, FILES.table)
# A copy has cost nothing, and has not executed anything.
_RESET: dict[str, object] = {
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
    "policy": None,
    "executed_policy": None,
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
    existing = session_row(tx, fork_id)
    if existing is not None and existing.forked_from == session_id:
        # The acknowledgement of the commit was lost, so this is a repetition.
        return fork_id
    until = None if run_id is None else _number_of(tx, source, run_id, viewer)
    is_copied = _is_copied(session_id, until)
    query = select(_runs.c.id, _runs.c.number).where(is_copied).order_by(_runs.c.number)
    copied = [_Run(row.id, row.number) for row in execute(tx, query)]
    summarised = sum(1 for run in copied if run.number <= source.summary_number)
    # A summary that covers runs which are not copied would be of another conversation.
    fits = until is None or source.summary_number <= until
    row = new_row(
        SESSIONS,
        id=fork_id,
        tenant=source.tenant,
        user_id=source.user_id,
        component_id=source.component_id,
        name=source.name,
        state=source.state,
        next_number=len(copied) + 1,
        summary=source.summary if fits else None,
        summary_number=summarised if fits else 0,
        forked_from=session_id,
        created_at=now,
        updated_at=now,
    )
    add_row(tx, SESSIONS, row)
    files = _copy_files(tx, is_copied, fork_id)
    for number, run in enumerate(copied, start=1):
        changed: dict[str, object] = {"session_id": fork_id, "number": number}
        if not fits:
            changed["is_summarised"] = False
        copy = new_id()
        _copy_run(tx, run.id, copy, changed, files)
        # The readers of its events learn how it ended.
        add(tx, EVENTS, run_id=copy, seq=1, kind="run_completed", data={}, created_at=now)
    return fork_id


def _number_of(tx: Session, source: SessionRecord, run_id: str, viewer: Viewer) -> int:
    run = find_run(tx, require_id("run_id", run_id), viewer)
    if run.session_id != source.id:
        message = f"Run {run_id!r} is not of session {source.id!r}, but of {run.session_id!r}."
        raise InvalidInput(message)
    return run.number


class _Run(NamedTuple):
    id: str
    number: int


def _is_copied(session_id: str, until: int | None) -> ColumnElement[bool]:
    """Return the condition of the copied runs: child runs stay with the originals, as calls do."""
    completed = (
        (_runs.c.session_id == session_id)
        & (_runs.c.status == RunStatus.completed.value)
        & _runs.c.parent_run_id.is_(None)
    )
    return completed if until is None else completed & (_runs.c.number <= until)


def _copy_files(tx: Session, is_copied: ColumnElement[bool], fork_id: str) -> dict[str, str]:
    """Copy the files that came with the runs that are copied."""
    query = (
        select(_messages.c.files)
        .join(_runs, _runs.c.id == _messages.c.run_id)
        .where(is_copied, _messages.c.files.is_not(None))
    )
    file_ids = {file_id for files in execute(tx, query).scalars() for file_id in files or ()}
    ids = {old: new_id() for old in sorted(file_ids)}
    for old, new in ids.items():
        _copy(tx, _files, _files.c.id == old, {"id": new, "session_id": fork_id})
    return ids


def _copy_run(
    tx: Session, old: str, new: str, changed: dict[str, object], files: dict[str, str]
) -> None:
    values = {**_RESET, **changed, "id": new, "forked_from": old}
    _copy(tx, _runs, _runs.c.id == old, values)
    _copy(tx, _messages, _messages.c.run_id == old, {"run_id": new})
    if not files:
        return
    of_run = _messages.c.run_id == new
    query = select(_messages.c.turn, _messages.c.position, _messages.c.files)
    for row in execute(tx, query.where(of_run)).all():
        if row.files:
            place = (_messages.c.turn == row.turn) & (_messages.c.position == row.position)
            copied = [files.get(file_id, file_id) for file_id in row.files]
            execute(tx, update(_messages).where(of_run, place).values(files=copied))


def _copy(
    tx: Session, table: Table, where: ColumnElement[bool], changed: dict[str, object]
) -> None:
    """Copy rows inside the database, with some of their columns changed."""
    values = [
        literal(changed[column.name], column.type) if column.name in changed else column
        for column in table.c
    ]
    copied = table.insert().from_select(table.c.keys(), select(*values).where(where))
    execute(tx, copied)
