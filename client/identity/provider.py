"""An identity provider: where it is reached, and whether it has signed a token."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from kern.client.identity.documents import (
    KeptDocument,
    ProviderDocument,
    fetch_json,
    fetch_provider_document,
)
from kern.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import Key, KeySet
    from joserfc.jwt import Token

# Signatures with keys that only the provider has. None is symmetric: whoever can verify such a
# signature can also make it, and the keys that verify these are public.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
_HOUR = 3600.0
_KEYS_FRESH_SECONDS = 600.0


class Provider:
    """One identity provider.

    Its documents are kept for a day while it is away. Its keys are looked for again every ten
    minutes, and when a token has an unknown one, at most once in five seconds.

    Args:
        issuer: Its address.
        clock: Returns the time in seconds; default: the monotonic clock.
    """

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._document = KeptDocument(
            lambda: fetch_provider_document(issuer),
            fresh_seconds=_HOUR,
            kept_seconds=24 * _HOUR,
            clock=clock,
        )
        self._keys = KeptDocument(
            self._fetch_keys,
            fresh_seconds=_KEYS_FRESH_SECONDS,
            kept_seconds=24 * _HOUR,
            clock=clock,
        )

    async def document(self) -> ProviderDocument:
        """Return its discovery document.

        Raises:
            Unavailable: the provider does not answer, and was not known before.
        """
        return await self._document.get()

    async def token(self, text: str) -> "Token":
        """Return a token that the provider has signed. Its claims are not checked.

        Raises:
            Unauthenticated: it is no token, or another signature is on it.
            Unavailable: the provider's keys are unknown, and it does not answer.
        """
        from joserfc.errors import (  # noqa: PLC0415  slow to import
            BadSignatureError,
            InvalidKeyIdError,
            JoseError,
        )

        try:
            try:
                return _decoded(text, await self._keys.get())
            except (InvalidKeyIdError, BadSignatureError):
                # The provider may have new keys. Without the id of a key, the signature says so.
                return _decoded(text, await self._keys.again())
        except (JoseError, ValueError, TypeError) as error:
            # What is no token at all breaks the library in other ways, too.
            message = f"The token is not signed by the identity provider ({_reason(error)})."
            raise Unauthenticated(message) from None

    async def _fetch_keys(self) -> "KeySet":
        from joserfc.errors import JoseError  # noqa: PLC0415  slow to import
        from joserfc.jwk import KeySet, OctKey, import_key  # noqa: PLC0415

        url = (await self.document()).jwks_uri
        content = await fetch_json(url)
        items = content.get("keys") if isinstance(content, dict) else None
        keys: list[Key] = []
        for item in items if isinstance(items, list) else []:
            try:
                key = import_key(cast("dict[str, str | list[str]]", item))
            except (JoseError, ValueError, TypeError):
                # One of a kind that is unknown here hinders no other.
                continue
            if not isinstance(key, OctKey) and key.get("use") != "enc":
                keys.append(key)
        if not keys:
            message = f"The identity provider has no keys at {url} with which it could sign."
            raise Unavailable(message)
        return KeySet(keys)


def _decoded(text: str, keys: "KeySet") -> "Token":
    from joserfc import jwt  # noqa: PLC0415  slow to import
    from joserfc.jws import JWSRegistry  # noqa: PLC0415

    # Providers add headers of their own, which mean nothing here; critical ones are refused.
    registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
    return jwt.decode(text, keys, registry=registry)


def _reason(error: Exception) -> str:
    return getattr(error, "error", "") or "malformed"
