"""The tables of who may come in: tokens of programs and people, and sessions of browsers."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime


class TokenRow(KernRow, table=True):
    """A token with which a person or a service calls the API. Its secret is kept as a hash.

    `principal` is who comes in with it, and `roles` what they may do. `prefix` is the beginning of
    the secret, by which people recognise it.
    """

    __tablename__ = "kern_tokens"

    id: str = Field(primary_key=True)
    tenant: str = Field(default="", index=True)
    label: str
    prefix: str
    secret_hash: str = Field(unique=True)
    principal: dict[str, JsonValue] = Field(sa_type=JsonText)
    roles: list[str] = Field(sa_type=JsonText)
    created_by: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_by: str | None = None


class WebSessionRow(KernRow, table=True):
    """A person who has signed in with a browser. The cookie's secret is kept as a hash.

    `method` says how they signed in; with a token, `token_id` says with which. A session ends at
    `expires_at`, when it was not used for long enough after `used_at`, and with its token.
    `tenant` and `subject` repeat what `principal` says, to find the sessions of somebody;
    `authenticated_at` is when they last proved who they are, if that is known.
    """

    __tablename__ = "kern_web_sessions"

    secret_hash: str = Field(primary_key=True)
    tenant: str = ""
    subject: str = Field(index=True)
    principal: dict[str, JsonValue] = Field(sa_type=JsonText)
    roles: list[str] = Field(sa_type=JsonText)
    all_tenants: bool = False
    method: str
    token_id: str | None = None
    authenticated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class SignInLinkRow(KernRow, table=True):
    """A link with which somebody signs in once. Its secret is kept as a hash.

    It is deleted when it is used.
    """

    __tablename__ = "kern_sign_in_links"

    secret_hash: str = Field(primary_key=True)
    principal: dict[str, JsonValue] = Field(sa_type=JsonText)
    roles: list[str] = Field(sa_type=JsonText)
    all_tenants: bool = False
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
