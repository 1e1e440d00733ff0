"""The tables of who is notified outside: subscriptions to the feed, and their deliveries."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Text, UniqueConstraint
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime


class SubscriptionRow(KernRow, table=True):
    """Where entries of the feed are delivered: a webhook, or a channel that reaches people.

    `address` is where, as people are shown it; `secret` is what signs a webhook or the whole
    address of a channel, encrypted. After a rotation `old_secret` signs too, until
    `old_secret_until`. `recipient` is the person or group that a channel reaches. Empty lists of
    `kinds`, `components`, `tools` and `risks` filter nothing. Nothing up to `since_seq` is
    delivered.
    """

    __tablename__ = "kern_subscriptions"

    id: str = Field(primary_key=True)
    tenant: str = Field(default="", index=True)
    sort: str
    label: str
    address: str = Field(sa_type=Text)
    secret: str = Field(sa_type=Text)
    old_secret: str | None = Field(default=None, sa_type=Text)
    old_secret_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    recipient: str | None = None
    digest_seconds: float | None = None
    kinds: list[str] = Field(sa_type=JsonText)
    components: list[str] = Field(sa_type=JsonText)
    tools: list[str] = Field(sa_type=JsonText)
    risks: list[str] = Field(sa_type=JsonText)
    with_content: bool = False
    since_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    created_by: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    disabled_why: str | None = Field(default=None, sa_type=Text)


class DeliveryRow(KernRow, table=True):
    """An entry of the feed on its way to a subscription.

    `status` is `pending`, `delivered`, `failed` (given up) or `dropped` (out of date). `body` is
    sent as it is, however often. While an attempt is made, `next_at` is the end of its lease.
    """

    __tablename__ = "kern_deliveries"
    __table_args__ = (
        UniqueConstraint("subscription_id", "seq"),
        Index("kern_deliveries_by_status", "status", "next_at"),
    )

    id: str = Field(primary_key=True)
    subscription_id: str = Field(foreign_key="kern_subscriptions.id")
    tenant: str = ""
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    kind: str
    requirement_id: str | None = None
    run_id: str = Field(index=True)
    body: str = Field(sa_type=Text)
    status: str = "pending"
    attempts: int = 0
    next_at: datetime = Field(sa_type=UtcDateTime)
    tried_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    answer_status: int | None = None
    answer: str | None = Field(default=None, sa_type=Text)
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
