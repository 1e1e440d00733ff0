"""The tables of seals, which link the chains of decisions of all runs into one log."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from sqlalchemy import BigInteger, Column, UniqueConstraint
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import UtcDateTime


class SealRow(KernRow, table=True):
    """The state of a run's chain at a time: its length and its last hash.

    Append-only; each row's hash covers the one before. `version` says which columns it covers.
    """

    __tablename__ = "kern_seals"
    __table_args__ = (UniqueConstraint("root_run_id", "chain_seq"),)

    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    version: int = 1
    root_run_id: str
    chain_seq: int
    chain_hash: str
    at: datetime = Field(sa_type=UtcDateTime)
    previous_hash: str
    hash: str = Field(unique=True)


class SealHeadRow(KernRow, table=True):
    """The end of the log of seals, one row: the lock under which it grows."""

    __tablename__ = "kern_seal_head"

    name: str = Field(primary_key=True)
    seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    hash: str


class UnsealedRow(KernRow, table=True):
    """A decision that no seal covers yet.

    Whoever decides inserts it and the sealer deletes it, so that neither waits for the other, as
    they would if the sealer changed the rows of chains.
    """

    __tablename__ = "kern_unsealed"

    root_run_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    hash: str
