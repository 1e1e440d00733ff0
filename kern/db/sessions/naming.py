"""Naming a session: the messages that a name is made of, and storing the model's name."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.messages import NameInput
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import SessionRecord
from kern.db.engine.typed_tables import RUNS
from kern.db.reading.run_outputs import message_rows, messages_of, session_row
from kern.db.runs import lifecycle, session_queue
from kern.errors import NotFound
from kern.models.base import Usage
from kern.run import Message
from kern.session import Session as SessionOutput
from kern.values.canonical import digest

_FIRST_RUNS = 3

_runs = RUNS.table
_FIRST = (
    select(_runs.c.id)
    .where(_runs.c.session_id == bindparam("session_id"), _runs.c.parent_run_id.is_(None))
    .order_by(_runs.c.number)
    .limit(_FIRST_RUNS)
)
# The run that the cost is counted with: not a copy, which has cost nothing.
_PAYS = (
    select(_runs.c.id)
    .where(
        _runs.c.session_id == bindparam("session_id"),
        _runs.c.parent_run_id.is_(None),
        _runs.c.forked_from.is_(None),
    )
    .order_by(_runs.c.number)
    .limit(1)
)


@dataclass(frozen=True)
class Material:
    """The messages that a name is made of, and the session that it is for.

    `began` belongs to the session's identity: once it is deleted, another one may have its id.
    """

    component_id: str
    session_id: str
    began: datetime
    before: str | None
    run_id: str | None
    messages: tuple[Message, ...]


def name_request(session: SessionOutput) -> NameInput:
    """Return the request for a new name of a session, in place of its present one."""
    return NameInput(
        session_id=session.session_id, began=session.created_at, before=digest(session.name)
    )


def load(tx: Session, ask: NameInput) -> Material | None:
    """Return the material for a name: the messages of a session's first runs.

    None if the session is gone, or has another name by now.
    """
    session = session_row(tx, ask.session_id)
    if session is None or not _is_meant(session, ask):
        return None
    run_ids = execute(tx, _FIRST, session_id=session.id).scalars().all()
    messages = messages_of(tx, (row for run_id in run_ids for row in message_rows(tx, run_id)))
    return Material(
        component_id=session.component_id,
        session_id=session.id,
        began=session.created_at,
        before=session.name,
        run_id=execute(tx, _PAYS, session_id=session.id).scalar(),
        messages=tuple(message for message in messages if message.role != "tool"),
    )


def store(tx: Session, material: Material, name: str, usage: Usage, now: datetime) -> bool:
    """Keep a name; False if the session is gone, or somebody gave it another name meanwhile.

    The usage of the model is counted with the session's first run.
    """
    run = None
    if material.run_id is not None:
        try:
            run = lifecycle.lock(tx, material.run_id)
        except NotFound:
            return False
    session = session_queue.lock_session(tx, material.session_id)
    if session is not None and (session.name, session.updated_at) == (name, now):
        # The acknowledgement of the commit was lost, so this is a repetition.
        return True
    if run is not None:
        lifecycle.count(run, usage)
    if session is None or (session.created_at, session.name) != (material.began, material.before):
        return False
    session.name, session.updated_at = name, now
    return True


def _is_meant(session: SessionRecord, ask: NameInput) -> bool:
    # Requests of older versions do not have these fields.
    created_at, before = ask.began or session.created_at, ask.before or digest(session.name)
    return (session.created_at, digest(session.name)) == (created_at, before)
