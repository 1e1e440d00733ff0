"""Files and images of messages: stored once in a session, their bytes read where they are needed.

No statement selects bytes but `_CONTENTS`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.records import SessionRecord
from kern.db.engine.typed_tables import FILES, MESSAGES, SESSIONS
from kern.errors import NotFound
from kern.media import Attachment, FileContent
from kern.run import FileReference, Message
from kern.values.ids import new_id, require_id

_files, _sessions, _messages = (FILES.table, SESSIONS.table, MESSAGES.table)
_of_file = (_files.c.id, _files.c.name, _files.c.media_type, _files.c.size, _files.c.url)
_has_id = _files.c.id.in_(bindparam("ids", expanding=True))
_REFERENCES = select(*_of_file).where(_has_id)
_CONTENTS = select(*_of_file, _files.c.data).where(_has_id)
_DIGESTS = select(_files.c.id, _files.c.digest, _files.c.media_type, _files.c.name).where(_has_id)
_SAME = select(_files.c.id).where(
    *(_files.c[key] == bindparam(key) for key in ("session_id", "digest", "media_type", "name"))
)
_OWNER = (
    select(_files.c.tenant, _sessions.c.user_id, _sessions.c.component_id)
    .join_from(_files, _sessions, _sessions.c.id == _files.c.session_id)
    .where(_files.c.id == bindparam("id"))
)
_of_input = (_messages.c.turn == 0) & (_messages.c.position == 0)
_INPUTS = select(_messages.c.run_id, _messages.c.files).where(
    _messages.c.run_id.in_(bindparam("run_ids", expanding=True)),
    _of_input,
    _messages.c.files.is_not(None),
)


def store(
    tx: Session, session: SessionRecord, attachments: Iterable[Attachment], now: datetime
) -> list[str] | None:
    """Store the attachments of an input that the session does not have yet; return all ids.

    The caller holds the lock of the session's row, so that no file is stored twice.
    """
    return [_stored_id(tx, session, attachment, now) for attachment in attachments] or None


def matches(tx: Session, run_id: str, attachments: Iterable[Attachment]) -> bool:
    """Whether these are exactly the attachments of a run's input."""
    ids = _of_runs(tx, [run_id]).get(run_id, [])
    rows = execute(tx, _DIGESTS, ids=ids) if ids else ()
    stored = {row.id: (row.digest, row.media_type, row.name) for row in rows}
    expected = [
        (attachment.digest, attachment.media_type, attachment.name) for attachment in attachments
    ]
    return [stored.get(file_id) for file_id in ids] == expected


def references(tx: Session, ids: Iterable[str]) -> dict[str, FileReference]:
    """Return files by id, without their bytes."""
    unique_ids = list(set(ids))
    records = execute(tx, _REFERENCES, ids=unique_ids) if unique_ids else ()
    return {row.id: FileReference.model_validate(row, from_attributes=True) for row in records}


def with_contents(tx: Session, messages: Sequence[Message]) -> list[Message]:
    """Return messages with the bytes of their files, each read once."""
    ids = list({reference.id for message in messages for reference in message.files})
    if not ids:
        return list(messages)
    contents = {row.id: _content(row) for row in execute(tx, _CONTENTS, ids=ids)}
    return [
        message.model_copy(
            update={"files": [contents[reference.id] for reference in message.files]}
        )
        if message.files
        else message
        for message in messages
    ]


def of_runs(tx: Session, run_ids: Sequence[str]) -> dict[str, list[FileReference]]:
    """Return the files of the inputs of runs, without bytes."""
    ids = _of_runs(tx, run_ids)
    references_by_id = references(
        tx, (file_id for file_ids in ids.values() for file_id in file_ids)
    )
    return {
        run_id: [references_by_id[file_id] for file_id in file_ids]
        for run_id, file_ids in ids.items()
    }


def read(tx: Session, file_id: str, viewer: Viewer) -> FileContent:
    """Read a file with its bytes.

    Raises:
        NotFound: there is no such file.
        NotAllowed: it belongs to somebody else.
        InvalidInput: the id is empty, or the file is another component's.
    """
    owner: Any = execute(tx, _OWNER, id=require_id("file_id", file_id)).first()
    missing = NotFound(f"There is no file with the id {file_id!r}: `Message.files` lists the ids.")
    component_id = None if owner is None else owner.component_id
    viewer.check(owner, missing, subject=f"File {file_id!r}", component_id=component_id)
    return _content(execute(tx, _CONTENTS, ids=[file_id]).one())


def _stored_id(tx: Session, session: SessionRecord, new: Attachment, now: datetime) -> str:
    place = {
        "session_id": session.id,
        "digest": new.digest,
        "media_type": new.media_type,
        "name": new.name,
    }
    stored_id: str | None = execute(tx, _SAME, **place).scalar()
    if stored_id is not None:
        return stored_id
    file_id = new_id()
    size, created_at = len(new.data), now
    add(
        tx,
        FILES,
        id=file_id,
        tenant=session.tenant,
        size=size,
        data=new.data,
        url=new.url,
        created_at=created_at,
        **place,
    )
    return file_id


def _of_runs(tx: Session, run_ids: Sequence[str]) -> dict[str, list[str]]:
    records = execute(tx, _INPUTS, run_ids=list(run_ids)) if run_ids else ()
    return {row.run_id: row.files for row in records if row.files}


def _content(row: object) -> FileContent:
    return FileContent.model_validate(row, from_attributes=True)
