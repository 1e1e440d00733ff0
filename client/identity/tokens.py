"""Which tokens of the provider are taken: their issuer, audience, times and purpose."""

from collections.abc import Mapping

from kern.client.identity.provider import Provider
from kern.errors import Unauthenticated

Claims = Mapping[str, object]

# Clocks differ by so much.
_LEEWAY_SECONDS = 60
_ACCESS_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
# What only tokens have that are made for something else: ID tokens, and those that end sessions.
_FOREIGN_CLAIMS = frozenset({"at_hash", "c_hash", "events"})


async def id_token_claims(provider: Provider, text: str, *, client_id: str, nonce: str) -> Claims:
    """Return the claims of an ID token that was made for this sign-in.

    https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation

    Raises:
        Unauthenticated: it was made by or for somebody else, for another sign-in, or is expired.
        Unavailable: the provider does not answer.
    """
    claims = (await provider.token(text)).claims
    await _check(provider, claims, audience=client_id)
    if claims.get("nonce") != nonce:
        message = "The ID token was made for another sign-in (nonce). Sign in again."
        raise Unauthenticated(message)
    audience, party = claims.get("aud"), claims.get("azp")
    has_several = isinstance(audience, list) and len(audience) > 1
    if party != client_id and (party is not None or has_several):
        message = "The ID token was made for another client (azp). Sign in again."
        raise Unauthenticated(message)
    return claims


async def access_token_claims(provider: Provider, text: str, audience: str) -> Claims:
    """Return the claims of an access token that was made for this API.

    Raises:
        Unauthenticated: it was made by or for somebody else or for something else, or is expired.
        Unavailable: the provider does not answer.
    """
    token = await provider.token(text)
    header_type = token.header.get("typ")
    # Keycloak says in a claim what a token is for.
    purpose = token.claims.get("typ")
    is_access_token = (
        (header_type is None or str(header_type).lower() in _ACCESS_TYPES)
        and (purpose is None or str(purpose).lower() == "bearer")
        and not _FOREIGN_CLAIMS & set(token.claims)
    )
    if not is_access_token:
        message = "The token is no access token. Call with one that was made for this API."
        raise Unauthenticated(message)
    await _check(provider, token.claims, audience=audience)
    return token.claims


async def _check(provider: Provider, claims: dict[str, object], *, audience: str) -> None:
    from joserfc.errors import ClaimError  # noqa: PLC0415  slow to import
    from joserfc.jwt import JWTClaimsRegistry  # noqa: PLC0415

    registry = JWTClaimsRegistry(
        leeway=_LEEWAY_SECONDS,
        iss={"essential": True, "value": (await provider.document()).issuer},
        aud={"essential": True, "value": audience},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        registry.validate(claims)
    except ClaimError as error:
        is_expired = error.error == "expired_token"
        what = "is expired" if is_expired else f"has a wrong or missing claim: {error.claim}"
        message = f"The token {what}. Sign in again, or fetch another one from the provider."
        raise Unauthenticated(message) from None
