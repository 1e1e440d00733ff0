"""The tables of the feed: what concerns people, in one order."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime


class FeedRow(KernRow, table=True):
    """Something that concerns people, written by the transaction that causes it.

    `seq` is given after the commit, and is empty until then (`kern.db.journal.feed`). `subject` is
    what the requirement is about, as its author declared; `data` has the rest, in short.
    """

    __tablename__ = "kern_feed"
    __table_args__ = (
        # Rows without a number are found by it too, in the order of their ids.
        Index("kern_feed_by_seq", "seq", "id"),
        Index("kern_feed_of_tenant", "tenant", "seq"),
    )

    id: str = Field(primary_key=True)
    seq: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    tenant: str = ""
    user_id: str | None = None
    component_id: str
    kind: str
    requirement_id: str | None = None
    run_id: str = Field(index=True)
    subject: str | None = None
    data: dict[str, JsonValue] = Field(sa_type=JsonText)
    at: datetime = Field(sa_type=UtcDateTime)


class FeedHeadRow(KernRow, table=True):
    """The end of the feed, one row: the lock under which numbers are given.

    Rows up to `pruned_seq` are not kept any more.
    """

    __tablename__ = "kern_feed_head"

    name: str = Field(primary_key=True)
    seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    pruned_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
