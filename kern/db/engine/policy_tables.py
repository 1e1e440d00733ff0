"""The tables of policies: what was pinned on runs, and what the workers declare."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime


class PolicyRow(KernRow, table=True):
    """A policy, under the digest that names it; runs of one policy share it. It never changes.

    Each tenant has a row of its own for it. What workers declare belongs to the default tenant.
    """

    __tablename__ = "kern_policies"

    digest: str = Field(primary_key=True)
    tenant: str = Field(default="", primary_key=True)
    version: int
    policy: dict[str, JsonValue] = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=UtcDateTime)


class WorkerRow(KernRow, table=True):
    """A process that executes runs: the digest of the policy that it declares for each component.

    `version` is that of its Kern, and `revision` the newest one of the tables that it knows.
    `initial_states` has the state with which sessions of its components begin, where they declare
    one: with it and the policies, runs are accepted by processes that have no component's code.
    A worker that stops deletes its row; of one that was killed, `beat_at` grows old.
    """

    __tablename__ = "kern_workers"

    id: str = Field(primary_key=True)
    host: str
    process: int
    version: str
    revision: str
    policies: dict[str, str] = Field(sa_type=JsonText)
    initial_states: dict[str, JsonValue] = Field(default={}, sa_type=JsonText)
    started_at: datetime = Field(sa_type=UtcDateTime)
    beat_at: datetime = Field(sa_type=UtcDateTime, index=True)
