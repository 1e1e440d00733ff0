"""Sessions of people who have signed in with a browser; only hashes of their cookies are kept."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.caller import Caller
from kern.contracts.viewer import Viewer
from kern.contracts.web_sessions import WebSession
from kern.db.access.callers import caller_of, caller_values
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import TOKENS, WEB_SESSIONS
from kern.db.reading.visibility import visible_tenant

_sessions, _tokens = WEB_SESSIONS.table, TOKENS.table
# Every page asks, so the token comes with the session.
_BY_HASH = (
    select(
        *_sessions.c,
        _tokens.c.expires_at.label("token_expires_at"),
        _tokens.c.revoked_at.label("token_revoked_at"),
    )
    .outerjoin(_tokens, _tokens.c.id == _sessions.c.token_id)
    .where(_sessions.c.secret_hash == bindparam("secret_hash"))
)
_USE = (
    _sessions.update()
    .where(_sessions.c.secret_hash == bindparam("of_hash"))
    .values(used_at=bindparam("now", type_=UtcDateTime))
)
_END = _sessions.delete().where(_sessions.c.secret_hash == bindparam("secret_hash"))
_END_OF_SUBJECT = _sessions.delete().where(_sessions.c.subject == bindparam("of_subject"))
_END_IN_TENANT = _END_OF_SUBJECT.where(_sessions.c.tenant == bindparam("of_tenant"))
_LATEST = (
    _sessions.select()
    .where(
        _sessions.c.expires_at > bindparam("now", type_=UtcDateTime),
        _sessions.c.used_at > bindparam("idle", type_=UtcDateTime),
    )
    .order_by(_sessions.c.created_at.desc(), _sessions.c.secret_hash)
)
_FORGET = _sessions.delete().where(_sessions.c.expires_at < bindparam("now", type_=UtcDateTime))

# A session that nobody uses ends after the first, and any after the second.
IDLE, LONGEST = timedelta(hours=8), timedelta(hours=24)


def begin(
    tx: Session, caller: Caller, secret_hash: str, now: datetime, token_id: str | None = None
) -> None:
    """Keep the session of somebody who has signed in, and forget those that are over."""
    execute(tx, _FORGET, now=now)
    add(
        tx,
        WEB_SESSIONS,
        secret_hash=secret_hash,
        tenant=caller.principal.tenant,
        subject=caller.principal.subject,
        method=caller.method,
        token_id=token_id,
        authenticated_at=caller.authenticated_at,
        created_at=now,
        used_at=now,
        expires_at=now + LONGEST,
        **caller_values(caller),
    )


def session_with(tx: Session, secret_hash: str, now: datetime) -> WebSession | None:
    """Return the session with a secret; None if it is over.

    One that began with a token is over with the token.
    """
    row = execute(tx, _BY_HASH, secret_hash=secret_hash).first()
    if row is None or now >= row.expires_at or now - row.used_at >= IDLE:
        return None
    if row.token_id is not None and not _has_token(row, now):
        return None
    return _session(row)


def sessions_of(tx: Session, viewer: Viewer, now: datetime) -> list[WebSession]:
    """Return the sessions of the viewer's tenant that are not over, the latest first."""
    query = _LATEST.where(*visible_tenant(viewer, _sessions))
    return [_session(row) for row in execute(tx, query, now=now, idle=now - IDLE)]


def note_use(tx: Session, secret_hash: str, now: datetime) -> None:
    """Note that a session was used."""
    execute(tx, _USE, of_hash=secret_hash, now=now)


def end_all_of(tx: Session, viewer: Viewer, subject: str) -> int:
    """End the sessions of somebody in the viewer's tenant, and return how many there were."""
    if viewer.tenant is None:
        return execute(tx, _END_OF_SUBJECT, of_subject=subject).rowcount
    return execute(tx, _END_IN_TENANT, of_subject=subject, of_tenant=viewer.tenant).rowcount


def end(tx: Session, secret_hash: str) -> None:
    """End a session, if there is one."""
    execute(tx, _END, secret_hash=secret_hash)


def _has_token(row: Any, now: datetime) -> bool:  # noqa: ANN401  a session with its token
    expires_at = row.token_expires_at
    return expires_at is not None and now < expires_at and row.token_revoked_at is None


def _session(row: Any) -> WebSession:  # noqa: ANN401  a row of the table
    caller = caller_of(row, row.method, row.authenticated_at)
    return WebSession(caller, row.created_at, row.used_at)
