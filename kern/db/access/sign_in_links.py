"""Links with which somebody signs in once; only hashes of their secrets are kept."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.caller import Caller
from kern.db.access.callers import caller_of, caller_values
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import SIGN_IN_LINKS

_links = SIGN_IN_LINKS.table
_BY_HASH = _links.select().where(_links.c.secret_hash == bindparam("secret_hash"))
_TAKE = _links.delete().where(_links.c.secret_hash == bindparam("secret_hash"))
_FORGET = _links.delete().where(_links.c.expires_at < bindparam("now", type_=UtcDateTime))

LIFE = timedelta(hours=1)


def store(tx: Session, caller: Caller, secret_hash: str, now: datetime) -> None:
    """Keep a link that lets somebody in once, and forget those that nobody used."""
    execute(tx, _FORGET, now=now)
    add(
        tx,
        SIGN_IN_LINKS,
        secret_hash=secret_hash,
        created_at=now,
        expires_at=now + LIFE,
        **caller_values(caller),
    )


def take(tx: Session, secret_hash: str, now: datetime) -> Caller | None:
    """Use up a link, and return who comes in with it; None if it was used, or is too old.

    Of two that use it at once, one deletes the row.
    """
    row = execute(tx, _BY_HASH, secret_hash=secret_hash).first()
    if row is None or not execute(tx, _TAKE, secret_hash=secret_hash).rowcount:
        return None
    return caller_of(row, "link") if now < row.expires_at else None
