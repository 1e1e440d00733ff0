"""The tables of what people do beside deciding: about a requirement, and about themselves."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import Index, Text
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime


class SnoozeRow(KernRow, table=True):
    """Until when somebody has put a requirement off; one that is over counts no more.

    The person is who `issuer` and `subject` name, and nobody else: what one has put off is hidden
    from no other.
    """

    __tablename__ = "kern_snoozes"
    __table_args__ = (Index("kern_snoozes_of_person", "issuer", "subject", "until"),)

    requirement_id: str = Field(primary_key=True)
    issuer: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    run_id: str = Field(index=True)
    tenant: str = ""
    until: datetime = Field(sa_type=UtcDateTime)


class AbsenceRow(KernRow, table=True):
    """Until when somebody is away, as they said themselves; one that is over counts no more.

    `id` is derived from who it is: the tenant, the issuer and the subject. They are found by the
    keys of their name and of their id, either of which a rule may have.
    """

    __tablename__ = "kern_absences"
    __table_args__ = (
        Index("kern_absences_of_tenant", "tenant", "until", "id"),
        Index("kern_absences_by_key", "tenant", "key", "until"),
        Index("kern_absences_by_subject_key", "tenant", "subject_key", "until"),
    )

    id: str = Field(primary_key=True)
    tenant: str = ""
    issuer: str
    subject: str
    name: str
    key: str
    subject_key: str
    since: datetime = Field(sa_type=UtcDateTime)
    until: datetime = Field(sa_type=UtcDateTime)
    note: str | None = Field(default=None, sa_type=Text)


class CommentRow(KernRow, table=True):
    """What somebody wrote about a requirement. It is deleted with the session."""

    __tablename__ = "kern_comments"
    __table_args__ = (Index("kern_comments_of_requirement", "requirement_id", "at", "id"),)

    id: str = Field(primary_key=True)
    requirement_id: str
    run_id: str = Field(index=True)
    tenant: str = ""
    author: str
    issuer: str
    subject: str
    author_kind: str
    text: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)


class BatchRow(KernRow, table=True):
    """The answers to a batch of decisions, so that its repetition is answered by the same.

    `id` is derived from the key and from who sent it, `body_digest` covers what was sent, and
    `answers` has for each item the id of its decision, or why it was skipped.
    """

    __tablename__ = "kern_batches"

    id: str = Field(primary_key=True)
    tenant: str = ""
    body_digest: str
    answers: list[JsonValue] = Field(sa_type=JsonText)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
