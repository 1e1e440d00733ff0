"""Who may come in: tokens of people and services, and sessions of browsers."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from kern.contracts.caller import Caller
from kern.contracts.tokens import NewToken, Token
from kern.contracts.viewer import Viewer
from kern.contracts.web_sessions import WebSession
from kern.db.access import sign_in_links, tokens, web_sessions
from kern.db.engine.store import Store
from kern.errors import InvalidInput, Unauthenticated
from kern.process.clock import utc_now
from kern.process.logs import get_logger
from kern.values.ids import new_id
from kern.values.names import person_name
from kern.values.principals import Principal
from kern.values.roles import Role
from kern.values.states import PrincipalKind

_log = get_logger("kern.access")

_PREFIX = "kern_"
_PREFIX_LENGTH = len(_PREFIX) + 6
_LONGEST_LIFE = timedelta(days=366)


class Access:
    """Makes and recognises tokens and sessions in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make_token(
        self,
        principal: Principal,
        roles: Sequence[Role],
        *,
        label: str,
        life: timedelta,
        created_by: str,
    ) -> NewToken:
        """Make a token with which somebody, or a service, comes in.

        Args:
            principal: Who comes in with it.
            roles: What they may do.
            label: What it is for, as people are shown it.
            life: For how long, up to 366 days.
            created_by: Who makes it.

        Raises:
            InvalidInput: it has no name, or its life makes no sense.
        """
        if not timedelta(0) < life <= _LONGEST_LIFE:
            message = f"A token lives for up to {_LONGEST_LIFE.days} days, not for {life}."
            raise InvalidInput(message)
        secret, now = _PREFIX + secrets.token_urlsafe(32), utc_now()
        token = Token(
            id=new_id(),
            label=person_name("the label of a token", label),
            prefix=secret[:_PREFIX_LENGTH],
            principal=principal,
            roles=tuple(roles),
            created_by=created_by,
            created_at=now,
            expires_at=now + life,
        )
        await self._store.write(lambda tx: tokens.store(tx, token, _hash(secret)))
        _log.info("token_made", token_id=token.id, subject=principal.subject, by=created_by)
        return NewToken(token=token, secret=secret)

    async def tokens(self, viewer: Viewer) -> list[Token]:
        """List the tokens of the viewer's tenant, the latest first."""
        return await self._store.read(lambda tx: tokens.tokens_of(tx, viewer))

    async def revoke_token(self, viewer: Viewer, token_id: str, by: str) -> Token:
        """Let nobody in with a token from now on.

        Raises:
            NotFound: there is no such token in the viewer's tenant.
        """
        now = utc_now()
        token = await self._store.write(lambda tx: tokens.revoke(tx, viewer, token_id, by, now))
        _log.info("token_revoked", token_id=token_id, by=by)
        return token

    async def caller_of_token(self, secret: str) -> Caller:
        """Return who comes in with a token.

        Raises:
            Unauthenticated: it is unknown, expired or revoked.
        """
        return (await self._valid_token(secret)).caller

    async def sign_in_with_token(self, secret: str) -> str:
        """Begin the session of a person who has a token; return the secret of its cookie.

        The session ends with the token.

        Raises:
            Unauthenticated: it is unknown, expired or revoked, or that of no person.
        """
        token = await self._valid_token(secret)
        if token.principal.kind is not PrincipalKind.person:
            _log.warning("sign_in_refused", subject=token.principal.subject, why="no person")
            message = f"{token.principal.name} is no person: only people sign in here."
            raise Unauthenticated(message)
        return await self.begin_session(token.caller, token.id)

    async def make_link(self, caller: Caller) -> str:
        """Make a link with which somebody signs in once, within an hour; return its secret."""
        secret, now = secrets.token_urlsafe(32), utc_now()
        await self._store.write(lambda tx: sign_in_links.store(tx, caller, _hash(secret), now))
        _log.info("link_made", subject=caller.principal.subject)
        return secret

    async def sign_in_with_link(self, secret: str) -> str:
        """Use up a link and begin a session; return the secret of its cookie.

        Raises:
            Unauthenticated: it was used, is too old, or there never was one.
        """
        now = utc_now()
        caller = await self._store.write(lambda tx: sign_in_links.take(tx, _hash(secret), now))
        if caller is None:
            _log.warning("sign_in_refused", why="link used or unknown")
            message = "This link was used, or is older than an hour. `kern desk` prints a new one."
            raise Unauthenticated(message)
        return await self.begin_session(caller)

    async def begin_session(self, caller: Caller, token_id: str | None = None) -> str:
        """Begin the session of somebody who has signed in; return the secret of its cookie."""
        secret, now = secrets.token_urlsafe(32), utc_now()
        await self._store.write(
            lambda tx: web_sessions.begin(tx, caller, _hash(secret), now, token_id)
        )
        _log.info("signed_in", subject=caller.principal.subject, method=caller.method)
        return secret

    async def session_of(self, secret: str) -> WebSession:
        """Return the session that a cookie belongs to.

        Raises:
            Unauthenticated: it is over, or there never was one.
        """
        secret_hash, now = _hash(secret), utc_now()
        session = await self._store.read(lambda tx: web_sessions.session_with(tx, secret_hash, now))
        if session is None:
            message = "The session is over. Sign in again."
            raise Unauthenticated(message)
        if session.was_used_before(now):
            await self._store.write(lambda tx: web_sessions.note_use(tx, secret_hash, now))
        return session

    async def end_session(self, secret: str) -> None:
        """End a session, if there is one."""
        await self._store.write(lambda tx: web_sessions.end(tx, _hash(secret)))
        _log.info("signed_out")

    async def _valid_token(self, secret: str) -> Token:
        secret_hash, now = _hash(secret), utc_now()
        token = await self._store.read(lambda tx: tokens.token_with(tx, secret_hash))
        if token is None or not token.is_valid(now):
            why = "unknown" if token is None else _why_invalid(token)
            _log.warning("token_refused", token_id=None if token is None else token.id, why=why)
            message = f"The token is {why}. Ask an administrator for another one."
            raise Unauthenticated(message)
        if token.was_used_before(now):
            await self._store.write(lambda tx: tokens.note_use(tx, token.id, now))
            _log.info("token_used", token_id=token.id, subject=token.principal.subject)
        return token


def _hash(secret: str) -> str:
    """Return what is kept of a secret: it is random and long, so it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _why_invalid(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked since {_time(token.revoked_at)}"
    return f"expired since {_time(token.expires_at)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
