"""Keeps what people write about a requirement."""

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.triage import Comment
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.records import RequirementRecord
from kern.db.engine.typed_tables import COMMENTS
from kern.db.reading.requirement_history import comment_of

_comments = COMMENTS.table
_BY_ID = _comments.select().where(_comments.c.id == bindparam("comment_id"))


def add_once(tx: Session, row: RequirementRecord, new: Comment) -> bool:
    """Keep a comment, under the lock of the run; False if there is one with its id."""
    if execute(tx, _BY_ID, comment_id=new.id).first() is not None:
        return False
    add(
        tx,
        COMMENTS,
        id=new.id,
        requirement_id=row.id,
        run_id=row.run_id,
        tenant=row.tenant,
        author=new.by.name,
        issuer=new.by.issuer,
        subject=new.by.subject,
        author_kind=new.by.kind.value,
        text=new.text,
        at=new.at,
    )
    return True


def find(tx: Session, comment_id: str) -> Comment | None:
    """Return the comment with an id."""
    row = execute(tx, _BY_ID, comment_id=comment_id).first()
    return None if row is None else comment_of(row)
