"""Sessions of people who have signed in with a browser; only hashes of their cookies are kept."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.caller import Caller
from kern.contracts.web_sessions import WebSession
from kern.db.access import tokens
from kern.db.access.callers import caller_of, caller_values
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import WEB_SESSIONS

_sessions = WEB_SESSIONS.table
_BY_HASH = _sessions.select().where(_sessions.c.secret_hash == bindparam("secret_hash"))
_USE = (
    _sessions.update()
    .where(_sessions.c.secret_hash == bindparam("of_hash"))
    .values(used_at=bindparam("now", type_=UtcDateTime))
)
_END = _sessions.delete().where(_sessions.c.secret_hash == bindparam("secret_hash"))
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
        method=caller.method,
        token_id=token_id,
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
    if row.token_id is not None:
        token = tokens.token_by_id(tx, row.token_id)
        if token is None or not token.is_valid(now):
            return None
    return WebSession(caller_of(row, row.method), row.created_at, row.used_at)


def note_use(tx: Session, secret_hash: str, now: datetime) -> None:
    """Note that a session was used."""
    execute(tx, _USE, of_hash=secret_hash, now=now)


def end(tx: Session, secret_hash: str) -> None:
    """End a session, if there is one."""
    execute(tx, _END, secret_hash=secret_hash)
