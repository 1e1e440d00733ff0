"""Files and images of messages: stored once in a session, their bytes read where they are needed.

No statement selects bytes but `_CONTENTS`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import add, execute, table_of
from kern.db.engine.tables import FileRow, MessageRow, SessionRow
from kern.errors import NotFound
from kern.media import Attachment, FileContent
from kern.run import FileReference, Message
from kern.values.ids import new_id, require_id

_files, _sessions, _messages = (table_of(kind) for kind in (FileRow, SessionRow, MessageRow))
_of_file = (_files.c.id, _files.c.name, _files.c.media_type, _files.c.size, _files.c.url)
_among = _files.c.id.in_(bindparam("ids", expanding=True))
_REFERENCES = select(*_of_file).where(_among)
_CONTENTS = select(*_of_file, _files.c.data).where(_among)
_DIGESTS = select(_files.c.id, _files.c.digest, _files.c.media_type, _files.c.name).where(_among)
_SAME = select(_files.c.id).where(
    *(_files.c[key] == bindparam(key) for key in ("session_id", "digest", "media_type", "name"))
)
_OWNER = (
    select(_sessions.c.user_id, _sessions.c.component_id)
    .join_from(_files, _sessions, _sessions.c.id == _files.c.session_id)
    .where(_files.c.id == bindparam("id"))
)
_of_input = (_messages.c.turn == 0) & (_messages.c.position == 0)
_INPUTS = select(_messages.c.run_id, _messages.c.files).where(
    _messages.c.run_id.in_(bindparam("run_ids", expanding=True)),
    _of_input,
    _messages.c.files.is_not(None),
)


def keep(
    tx: Session, session_id: str, attachments: Iterable[Attachment], now: datetime
) -> list[str] | None:
    """Store what came with an input, as far as the session has it not yet; return the ids.

    The session's row is locked, so that nobody else stores the same.
    """
    return [_kept(tx, session_id, one, now) for one in attachments] or None


def are_those(tx: Session, run_id: str, attachments: Iterable[Attachment]) -> bool:
    """Whether a run's input came with just these."""
    ids = _of_runs(tx, [run_id]).get(run_id, [])
    rows = execute(tx, _DIGESTS, ids=ids) if ids else ()
    found = {row.id: (row.digest, row.media_type, row.name) for row in rows}
    wanted = [(one.digest, one.media_type, one.name) for one in attachments]
    return [found.get(one) for one in ids] == wanted


def references(tx: Session, ids: Iterable[str]) -> dict[str, FileReference]:
    """Return files by id, without their bytes."""
    wanted = list(set(ids))
    found = execute(tx, _REFERENCES, ids=wanted) if wanted else ()
    return {row.id: FileReference.model_validate(row, from_attributes=True) for row in found}


def with_contents(tx: Session, messages: Sequence[Message]) -> list[Message]:
    """Return messages with the bytes of their files, each read once."""
    ids = list({one.id for message in messages for one in message.files})
    if not ids:
        return list(messages)
    found = {row.id: _content(row) for row in execute(tx, _CONTENTS, ids=ids)}
    return [
        message.model_copy(update={"files": [found[one.id] for one in message.files]})
        if message.files
        else message
        for message in messages
    ]


def of_runs(tx: Session, run_ids: Sequence[str]) -> dict[str, list[FileReference]]:
    """Return what came with the inputs of runs, without bytes."""
    ids = _of_runs(tx, run_ids)
    known = references(tx, (one for each in ids.values() for one in each))
    return {run_id: [known[one] for one in each] for run_id, each in ids.items()}


def read(tx: Session, file_id: str, viewer: Viewer) -> FileContent:
    """Read a file with its bytes.

    Raises:
        NotFound: there is no such file.
        NotAllowed: it belongs to somebody else.
        InvalidInput: the id is empty, or the file is another component's.
    """
    owner = execute(tx, _OWNER, id=require_id("file_id", file_id)).first()
    if owner is None:
        message = f"There is no file with the id {file_id!r}: `Message.files` tells the ids."
        raise NotFound(message)
    viewer.check(f"File {file_id!r}", owner.user_id, owner.component_id)
    return _content(execute(tx, _CONTENTS, ids=[file_id]).one())


def _kept(tx: Session, session_id: str, new: Attachment, now: datetime) -> str:
    place = {
        "session_id": session_id,
        "digest": new.digest,
        "media_type": new.media_type,
        "name": new.name,
    }
    known: str | None = execute(tx, _SAME, **place).scalar()
    if known is not None:
        return known
    file_id = new_id()
    size, created_at = len(new.data), now
    add(
        tx,
        FileRow,
        id=file_id,
        size=size,
        data=new.data,
        url=new.url,
        created_at=created_at,
        **place,
    )
    return file_id


def _of_runs(tx: Session, run_ids: Sequence[str]) -> dict[str, list[str]]:
    found = execute(tx, _INPUTS, run_ids=list(run_ids)) if run_ids else ()
    return {row.run_id: row.files for row in found if row.files}


def _content(row: object) -> FileContent:
    return FileContent.model_validate(row, from_attributes=True)
