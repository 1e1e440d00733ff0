"""Tokens with which people and services call the API; only hashes of them are kept."""

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.tokens import Token
from kern.contracts.viewer import Viewer
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import TOKENS
from kern.errors import NotFound

_tokens = TOKENS.table
_BY_HASH = _tokens.select().where(_tokens.c.secret_hash == bindparam("secret_hash"))
_BY_ID = _tokens.select().where(_tokens.c.id == bindparam("token_id"))
_OF_TENANT = (
    _tokens.select()
    .where(_tokens.c.tenant == bindparam("of_tenant"))
    .order_by(_tokens.c.created_at.desc(), _tokens.c.id)
)
_ALL = _tokens.select().order_by(_tokens.c.created_at.desc(), _tokens.c.id)
_VALID = (
    _tokens.select()
    .where(
        _tokens.c.revoked_at.is_(None),
        _tokens.c.expires_at > bindparam("now", type_=UtcDateTime),
    )
    .limit(1)
)
_USE = (
    _tokens.update()
    .where(_tokens.c.id == bindparam("token_id"))
    .values(used_at=bindparam("now", type_=UtcDateTime))
)
_REVOKE = (
    _tokens.update()
    .where(_tokens.c.id == bindparam("token_id"), _tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now", type_=UtcDateTime), revoked_by=bindparam("by"))
)


def store(tx: Session, token: Token, secret_hash: str) -> None:
    """Keep a new token, by the hash of its secret."""
    add(
        tx,
        TOKENS,
        id=token.id,
        tenant=token.principal.tenant,
        label=token.label,
        prefix=token.prefix,
        secret_hash=secret_hash,
        principal=token.principal.model_dump(mode="json"),
        roles=[role.value for role in token.roles],
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        used_at=None,
        revoked_at=None,
        revoked_by=None,
    )


def token_with(tx: Session, secret_hash: str) -> Token | None:
    """Return the token with a secret, whether it still lets anybody in or not."""
    row = execute(tx, _BY_HASH, secret_hash=secret_hash).first()
    return None if row is None else _token(row)


def token_by_id(tx: Session, token_id: str) -> Token | None:
    """Return a token by its id, whether it still lets anybody in or not."""
    row = execute(tx, _BY_ID, token_id=token_id).first()
    return None if row is None else _token(row)


def has_valid(tx: Session, now: datetime) -> bool:
    """Whether any token lets somebody in."""
    return execute(tx, _VALID, now=now).first() is not None


def note_use(tx: Session, token_id: str, now: datetime) -> None:
    """Note that a token was used."""
    execute(tx, _USE, token_id=token_id, now=now)


def tokens_of(tx: Session, viewer: Viewer) -> list[Token]:
    """Return the tokens of the viewer's tenant, the latest first."""
    if viewer.tenant is None:
        return [_token(row) for row in execute(tx, _ALL)]
    return [_token(row) for row in execute(tx, _OF_TENANT, of_tenant=viewer.tenant)]


def revoke(tx: Session, viewer: Viewer, token_id: str, by: str, now: datetime) -> Token:
    """Let nobody in with a token from now on; one that is revoked stays as it is.

    Raises:
        NotFound: the viewer's tenant has no such token.
    """
    token = token_by_id(tx, token_id)
    if token is None or viewer.tenant not in (None, token.principal.tenant):
        message = f"There is no token with the id {token_id!r}. List them with `kern token list`."
        raise NotFound(message)
    if execute(tx, _REVOKE, token_id=token_id, by=by, now=now).rowcount:
        return token.model_copy(update={"revoked_at": now, "revoked_by": by})
    return token


def _token(row: object) -> Token:
    return Token.model_validate(row, from_attributes=True)
