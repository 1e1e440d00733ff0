"""Sessions of people who have signed in with a browser; only hashes of their cookies are kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.caller import Caller
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import WEB_SESSIONS
from kern.values.principals import Principal
from kern.values.roles import Role

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
# That a session was used is noted so often, not at each request.
_USE_EVERY = timedelta(minutes=1)


def begin(tx: Session, caller: Caller, secret_hash: str, now: datetime) -> None:
    """Keep the session of somebody who has signed in, and forget those that are over."""
    execute(tx, _FORGET, now=now)
    add(
        tx,
        WEB_SESSIONS,
        secret_hash=secret_hash,
        principal=caller.principal.model_dump(mode="json"),
        roles=[role.value for role in caller.roles],
        all_tenants=caller.all_tenants,
        method=caller.method,
        created_at=now,
        used_at=now,
        expires_at=now + LONGEST,
    )


@dataclass(frozen=True)
class WebSession:
    """Somebody's session, and when its use was last noted (UTC)."""

    caller: Caller
    used_at: datetime

    def was_used_before(self, now: datetime) -> bool:
        """Whether its last use was noted so long ago that this one has to be."""
        return now - self.used_at >= _USE_EVERY


def session_with(tx: Session, secret_hash: str, now: datetime) -> WebSession | None:
    """Return the session with a secret; None if it is over."""
    row = execute(tx, _BY_HASH, secret_hash=secret_hash).first()
    if row is None or now >= row.expires_at or now - row.used_at >= IDLE:
        return None
    caller = Caller(
        principal=Principal.model_validate(row.principal),
        roles=tuple(Role(name) for name in row.roles),
        method=row.method,
        all_tenants=row.all_tenants,
    )
    return WebSession(caller, row.used_at)


def note_use(tx: Session, secret_hash: str, now: datetime) -> None:
    """Note that a session was used."""
    execute(tx, _USE, of_hash=secret_hash, now=now)


def end(tx: Session, secret_hash: str) -> None:
    """End a session, if there is one."""
    execute(tx, _END, secret_hash=secret_hash)
