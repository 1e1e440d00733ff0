"""The authorization code flow with PKCE: where people are sent, and what they come back with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from kern.client.identity.attempt import SignInAttempt
from kern.client.identity.configuration import IdentityConfig
from kern.client.identity.documents import ProviderDocument, fetch_json
from kern.client.identity.provider import Provider
from kern.client.identity.tokens import Claims, id_token_claims
from kern.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

CALLBACK = "/desk/signin/callback"
_TIMEOUT_SECONDS = 10.0
_LONGEST_CODE = 100


@dataclass(frozen=True)
class Answer:
    """With what the provider sends a browser back: a code or an error, for an attempt."""

    state: str = ""
    code: str | None = None
    error: str | None = None
    issuer: str | None = None


@dataclass(frozen=True)
class Identified:
    """Somebody whom the provider knows.

    Attributes:
        access_token: With which it says more about them.
    """

    claims: Claims
    access_token: str | None


class CodeFlow:
    """Has people sign in with a provider.

    Args:
        config: How Kern knows the provider.
        provider: The provider.
        client_id: The client that Kern is there.
    """

    def __init__(self, config: IdentityConfig, provider: Provider, client_id: str) -> None:
        self._config = config
        self._provider = provider
        self._client_id = client_id

    async def address(self, attempt: SignInAttempt, secret: str, site: str) -> str:
        """Return the address at the provider where an attempt begins.

        Raises:
            Unavailable: the provider does not answer.
        """
        document = await self._provider.document()
        endpoint = _required(document.authorization_endpoint, "authorization_endpoint")
        # `max_age=0` has the provider say when they authenticated; `prompt` has it ask them.
        more = {"prompt": "login", "max_age": "0"} if attempt.is_fresh else {}
        async with self._client(document, site) as client:
            url, _ = client.create_authorization_url(
                endpoint,
                state=attempt.state(secret),
                code_verifier=attempt.code_verifier(secret),
                nonce=attempt.nonce(secret),
                **more,
            )
        return url

    async def identify(
        self, attempt: SignInAttempt, answer: Answer, secret: str, site: str
    ) -> Identified:
        """Return who has come back from the provider.

        Raises:
            Unauthenticated: the provider refuses them, or its token is not what it has to be.
            Unavailable: it does not answer.
        """
        document = await self._provider.document()
        _check_answer(answer, document)
        token = await self._token(document, attempt, answer.code or "", secret, site)
        id_token, access_token = token.get("id_token"), token.get("access_token")
        if not isinstance(id_token, str):
            message = "The identity provider sends no ID token. The scopes have to have `openid`."
            raise Unauthenticated(message)
        claims = await id_token_claims(
            self._provider, id_token, client_id=self._client_id, nonce=attempt.nonce(secret)
        )
        return Identified(claims, access_token if isinstance(access_token, str) else None)

    async def more_claims(self, person: Identified) -> Claims:
        """Return the claims about somebody with those that only the UserInfo endpoint has.

        Raises:
            Unauthenticated: it speaks of somebody else.
            Unavailable: it does not answer.
        """
        endpoint = (await self._provider.document()).userinfo_endpoint
        if endpoint is None or person.access_token is None:
            return person.claims
        content = await fetch_json(endpoint, person.access_token)
        claims = cast("Mapping[str, object]", content) if isinstance(content, dict) else {}
        # https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse
        if claims.get("sub") != person.claims["sub"]:
            message = "The identity provider's UserInfo is about somebody else. Sign in again."
            raise Unauthenticated(message)
        return {**claims, **person.claims}

    async def _token(
        self,
        document: ProviderDocument,
        attempt: SignInAttempt,
        code: str,
        secret: str,
        site: str,
    ) -> Mapping[str, Any]:
        """Exchange a code, which the provider takes once."""
        import httpx2  # noqa: PLC0415  slow to import
        from authlib.integrations.base_client import OAuthError  # noqa: PLC0415

        endpoint = _required(document.token_endpoint, "token_endpoint")
        try:
            async with self._client(document, site) as client:
                return cast(
                    "Mapping[str, Any]",
                    await client.fetch_token(
                        endpoint,
                        grant_type="authorization_code",
                        code=code,
                        code_verifier=attempt.code_verifier(secret),
                    ),
                )
        except OAuthError as error:
            raise Unauthenticated(_refusal(str(error.error))) from None
        except (httpx2.HTTPError, ValueError) as error:
            message = (
                f"The identity provider does not answer as it should at {endpoint}: "
                f"{type(error).__name__}. Sign in again in a moment."
            )
            raise Unavailable(message) from None

    def _client(self, document: ProviderDocument, site: str) -> "AsyncOAuth2Client":
        from authlib.integrations.httpx_client import (  # noqa: PLC0415  slow to import
            AsyncOAuth2Client,
        )

        secret = self._config.client_secret
        methods = document.token_endpoint_auth_methods_supported
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=secret,
            token_endpoint_auth_method="none" if secret is None else method,
            scope=self._config.scopes,
            redirect_uri=site + CALLBACK,
            code_challenge_method="S256",
            timeout=_TIMEOUT_SECONDS,
        )


def _check_answer(answer: Answer, document: ProviderDocument) -> None:
    # https://www.rfc-editor.org/rfc/rfc9207
    must_name = document.authorization_response_iss_parameter_supported
    if answer.issuer != document.issuer and (must_name or answer.issuer is not None):
        message = "The answer is that of another identity provider. Begin the sign-in again."
        raise Unauthenticated(message)
    if answer.error is not None:
        raise Unauthenticated(_refusal(answer.error))
    if not answer.code:
        message = "The identity provider has sent no code. Begin the sign-in again."
        raise Unauthenticated(message)


def _refusal(error: str) -> str:
    """Return what to do about an error; its code comes from outside, so only its form is shown."""
    is_code = error.isascii() and error.replace("_", "").isalnum() and len(error) <= _LONGEST_CODE
    code = error if is_code else "an error"
    todo = _ADVICE.get(code, "Begin the sign-in again; if it stays so, ask an administrator")
    return f"The identity provider refuses this sign-in: {code}. {todo}."


_ADVICE = {
    "access_denied": (
        "Sign in there as somebody who may use Kern, or ask an administrator of the provider"
    ),
    "invalid_grant": "The code was used before or is too old. Begin the sign-in again",
    "invalid_client": (
        "Have an administrator check KERN_OIDC_CLIENT_ID, and KERN_OIDC_CLIENT_SECRET"
    ),
    "unauthorized_client": "Have an administrator allow the authorization code flow there",
    "invalid_scope": "Have an administrator check KERN_OIDC_SCOPES",
}


def _required(endpoint: str | None, name: str) -> str:
    if endpoint is None:
        message = f"The identity provider's discovery document has no {name}. Mend it there."
        raise Unavailable(message)
    return endpoint
