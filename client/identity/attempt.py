"""One attempt to sign in: what has to come back from the provider is bound to the visitor's cookie.

Nothing of it is stored. `state` is encrypted with a key made of the cookie's secret, so only the
browser that began can come back with it, whichever process answers. `nonce` and the verifier of
PKCE are derived from the same secret, which never leaves the cookie
(https://openid.net/specs/openid-connect-core-1_0.html#NonceNotes).
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from kern.errors import Unauthenticated

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

_LIFE = timedelta(minutes=15)
# Clocks differ by so much.
_CLOCKS = timedelta(minutes=1)
_HEADER = {"alg": "dir", "enc": "A256GCM"}
# Others would have this end work for whoever asks, such as deriving a key a million times.
_ALGORITHMS = list(_HEADER.values())


class SignInAttempt(BaseModel):
    """What a visitor is about to do.

    Attributes:
        next_url: Where they are going.
        is_fresh: Whether they have to prove again who they are.
    """

    model_config = ConfigDict(frozen=True)

    next_url: str
    is_fresh: bool
    begun_at: AwareDatetime
    salt: str

    @classmethod
    def begin(cls, next_url: str, now: datetime, *, is_fresh: bool) -> Self:
        """Return a new attempt."""
        salt = secrets.token_urlsafe(16)
        return cls(next_url=next_url, is_fresh=is_fresh, begun_at=now, salt=salt)

    @classmethod
    def of(cls, state: str, secret: str | None, now: datetime) -> Self:
        """Return the attempt that comes back from the provider.

        Raises:
            Unauthenticated: another browser began it, or it was begun too long ago.
        """
        from joserfc import jwe  # noqa: PLC0415  slow to import
        from joserfc.errors import JoseError  # noqa: PLC0415

        attempt: Self | None = None
        if secret is not None:
            try:
                content = jwe.decrypt_compact(state, _key(secret), _ALGORITHMS).plaintext
                attempt = cls.model_validate_json(content or b"")
            except (JoseError, ValueError, TypeError, ValidationError):
                attempt = None
        if attempt is None or not timedelta(0) <= now - attempt.begun_at < _LIFE:
            message = (
                "This sign-in was begun in another browser, was finished before, or took longer "
                "than 15 minutes. Begin it again."
            )
            raise Unauthenticated(message)
        return attempt

    def state(self, secret: str) -> str:
        """Return what the provider hands back."""
        from joserfc import jwe  # noqa: PLC0415  slow to import

        return jwe.encrypt_compact(_HEADER, self.model_dump_json(), _key(secret))

    def nonce(self, secret: str) -> str:
        """Return what the ID token repeats."""
        return self._derived(secret, "nonce")

    def code_verifier(self, secret: str) -> str:
        """Return what proves that the code is used by whoever asked for it."""
        return self._derived(secret, "code_verifier")

    def is_satisfied_by(self, authenticated_at: datetime | None) -> bool:
        """Whether somebody authenticated as recently as they had to."""
        if not self.is_fresh:
            return True
        return authenticated_at is not None and authenticated_at >= self.begun_at - _CLOCKS

    def _derived(self, secret: str, purpose: str) -> str:
        content = f"{purpose}\n{self.salt}".encode()
        digest = hmac.digest(secret.encode(), content, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _key(secret: str) -> "OctKey":
    from joserfc.jwk import OctKey  # noqa: PLC0415  slow to import

    return OctKey.import_key(hashlib.sha256(f"state\n{secret}".encode()).digest())
