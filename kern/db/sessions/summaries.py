"""Summaries of sessions, renewed after each run that ended with an answer."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import RUNS
from kern.db.reading.run_outputs import message_rows, messages_of, run_row, session_row
from kern.db.runs import lifecycle, session_queue
from kern.models.base import Usage
from kern.run import Message
from kern.values.states import RunStatus

# How many earlier runs a summary catches up with, if their own summaries failed.
_REACH = 20

_runs = RUNS.table
_NOT_SUMMARISED = (
    select(_runs.c.id)
    .where(
        _runs.c.session_id == bindparam("session_id"),
        _runs.c.number > bindparam("after"),
        _runs.c.number <= bindparam("number"),
        _runs.c.status == RunStatus.completed.value,
        _runs.c.parent_run_id.is_(None),
        _runs.c.is_summarised.is_(False),
    )
    .order_by(_runs.c.number)
)
_MARK_SUMMARISED = (
    _runs.update()
    .where(_runs.c.id.in_(bindparam("run_ids", expanding=True)))
    .values(is_summarised=True)
)


@dataclass(frozen=True)
class Material:
    """The material of a summary: the one before, and the runs that it does not cover."""

    component_id: str
    session_id: str
    run_id: str
    before: str | None
    run_ids: tuple[str, ...]
    messages: tuple[Message, ...]


def load(tx: Session, run_id: str) -> Material | None:
    """Read the runs that the session's summary does not cover; None if it covers all."""
    run = run_row(tx, run_id)
    if run is None or run.is_summarised or run.status != RunStatus.completed.value:
        return None
    session = session_row(tx, run.session_id)
    rows = execute(
        tx,
        _NOT_SUMMARISED,
        session_id=run.session_id,
        number=run.number,
        after=run.number - _REACH,
    )
    run_ids = tuple(rows.scalars())
    messages = messages_of(tx, (row for run_id_ in run_ids for row in message_rows(tx, run_id_)))
    return Material(
        component_id=run.component_id,
        session_id=run.session_id,
        run_id=run_id,
        before=session.summary if session else None,
        run_ids=run_ids,
        messages=tuple(message for message in messages if message.role != "tool"),
    )


def store(tx: Session, material: Material, summary: str, usage: Usage, now: datetime) -> bool:
    """Keep a summary; False when another one was stored since the material was read.

    The usage of the model is counted with the run after which it was made.
    """
    run = lifecycle.lock(tx, material.run_id)
    session = session_queue.lock_session(tx, run.session_id)
    if session is not None and (session.summary, session.updated_at) == (summary, now):
        # The acknowledgement of the commit was lost, so this is a repetition.
        return True
    lifecycle.count(run, usage)
    if session is None or run.is_summarised:
        return True
    if session.summary != material.before:
        return False
    session.summary = summary
    session.summary_number = max(session.summary_number, run.number)
    session.updated_at = now
    execute(tx, _MARK_SUMMARISED, run_ids=list(material.run_ids))
    return True
