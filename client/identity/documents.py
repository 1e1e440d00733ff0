"""What a provider publishes: its discovery document, and other JSON at its addresses."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from kern.client.identity.configuration import is_safe_address
from kern.errors import Unavailable
from kern.process.logs import get_logger

_log = get_logger("kern.access")

_TIMEOUT_SECONDS = 10.0
# So often at most is a document fetched because it may have changed.
_RETRY_SECONDS = 5.0
_FAILURE_SECONDS = 1.0
_DISCOVERY = "/.well-known/openid-configuration"

Document = TypeVar("Document")


class ProviderDocument(BaseModel):
    """A provider's discovery document, as far as Kern needs it.

    https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
    """

    model_config = ConfigDict(frozen=True)

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class KeptDocument(Generic[Document]):
    """A document that is kept and fetched again now and then, so that it may be away for a while.

    Args:
        fetch: Fetches it, or raises `Unavailable`.
        fresh_seconds: For so long it is not looked for again, unless somebody asks.
        kept_seconds: For so long it is used although it cannot be fetched again.
        clock: Returns the time in seconds; default: the monotonic clock.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Document]],
        *,
        fresh_seconds: float,
        kept_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._fresh_seconds = fresh_seconds
        self._kept_seconds = kept_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._document: Document | None = None
        self._number = 0
        self._fetched_at = 0.0
        self._asked_at: float | None = None
        self._failure: tuple[float, Unavailable] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def get(self) -> Document:
        """Return the document; an old one is returned, and fetched again meanwhile.

        Raises:
            Unavailable: there is none, and it cannot be fetched.
        """
        document, age = self._document, self._clock() - self._fetched_at
        if document is None or age >= self._kept_seconds:
            return await self._fetched(self._number)
        if age >= self._fresh_seconds and self._may_ask() and self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        return document

    async def again(self) -> Document:
        """Return the document as it is now, unless somebody asked for that moments ago.

        Raises:
            Unavailable: there is none, and it cannot be fetched.
        """
        if self._document is not None and not self._may_ask():
            return self._document
        self._asked_at = self._clock()
        return await self._fetched(self._number)

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._clock() - self._asked_at >= _RETRY_SECONDS

    async def _fetched(self, seen_number: int) -> Document:
        """Fetch it once for all who wait for it."""
        async with self._lock:
            if self._document is not None and self._number != seen_number:
                return self._document
            # Whoever waited meanwhile does not wait as long once more.
            if self._failure is not None and self._clock() - self._failure[0] < _FAILURE_SECONDS:
                raise self._failure[1]
            try:
                self._document = await self._fetch()
            except Unavailable as error:
                self._failure = (self._clock(), error)
                raise
            self._number += 1
            self._fetched_at = self._clock()
            return self._document

    async def _renew(self) -> None:
        try:
            await self.again()
        except Unavailable as error:
            _log.warning("provider_unavailable", why=str(error))
        finally:
            self._renewal = None


async def fetch_json(url: str, bearer: str | None = None) -> object:
    """Return the JSON at an address of the provider's. Redirects are not followed.

    Raises:
        Unavailable: it does not answer, or with something else.
    """
    # Slow to import, and most processes need no provider.
    import httpx2  # noqa: PLC0415

    headers = {"Accept": "application/json"}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, headers=headers) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            return answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        message = (
            f"The identity provider does not answer as it should at {url}: "
            f"{type(error).__name__}. Try again; if it stays so, ask an administrator."
        )
        raise Unavailable(message) from error


async def fetch_provider_document(issuer: str) -> ProviderDocument:
    """Return the discovery document of an issuer.

    Raises:
        Unavailable: there is none, it is that of another issuer, or it leads to unsafe addresses.
    """
    url = issuer.rstrip("/") + _DISCOVERY
    try:
        document = ProviderDocument.model_validate(await fetch_json(url))
    except ValidationError as error:
        names = ", ".join(str(item["loc"][0]) for item in error.errors() if item["loc"])
        message = f"The document at {url} is no discovery document: {names or 'no object'}."
        raise Unavailable(message) from None
    # Providers differ from what people type by a slash at most.
    if document.issuer.rstrip("/") != issuer.rstrip("/"):
        message = (
            f"The document at {url} is that of the issuer {document.issuer!r}. Set "
            "KERN_OIDC_ISSUER to the issuer of tokens, spelled as the provider spells it."
        )
        raise Unavailable(message)
    addresses = (
        document.jwks_uri,
        document.authorization_endpoint,
        document.token_endpoint,
        document.userinfo_endpoint,
    )
    unsafe = [url for url in addresses if url is not None and not is_safe_address(urlsplit(url))]
    if unsafe:
        message = f"The provider names {unsafe[0]!r}, which is not reached over TLS. Mend it there."
        raise Unavailable(message)
    return document
