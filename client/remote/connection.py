"""Requests to the API: what is safe to send again is sent again, and refusals become errors."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, JsonValue, ValidationError

from kern import __version__
from kern.client.remote.address import Address
from kern.client.remote.problems import error_of, not_kern
from kern.errors import Unavailable

ModelT = TypeVar("ModelT", bound=BaseModel)
Parameters = Mapping[str, object]

_OK, _REFUSED = 200, 300
# Whoever waits for an answer longer than this is better off knowing.
_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
# A stream says every 15 seconds that it lives.
_STREAM_TIMEOUT = httpx2.Timeout(30.0, connect=10.0, read=60.0)
# So often a request is tried that may be, with these pauses between.
_PAUSES = (0.2, 1.0)
_NO_PARAMETERS: Parameters = {}


class Connection:
    """Calls one API, on one event loop.

    Args:
        address: The API, and the token.
    """

    def __init__(self, address: Address) -> None:
        self.url = address.url
        self._client = httpx2.AsyncClient(
            headers={
                "Authorization": f"Bearer {address.token}",
                "User-Agent": f"kern/{__version__}",
                "Accept": "application/json",
            },
            timeout=_TIMEOUT,
            # The token is for this address alone.
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def get(
        self, model: type[ModelT], *path: str, parameters: Parameters = _NO_PARAMETERS
    ) -> ModelT:
        """Read something.

        Raises:
            Unavailable: nothing answers, or it is not Kern's API.
            KernError: it is refused.
        """
        return self._parsed(model, await self.send("GET", path, parameters, again=True))

    async def post(
        self,
        model: type[ModelT],
        *path: str,
        body: Mapping[str, JsonValue] | None = None,
        key: str | None = None,
        again: bool = False,
    ) -> ModelT:
        """Have something done; with a `key`, or if it may be done `again`, at a lost answer again.

        Raises:
            Unavailable: nothing answers; it is not known whether it was done.
            KernError: it is refused.
        """
        response = await self.send("POST", path, body=body, key=key, again=again or key is not None)
        return self._parsed(model, response)

    async def change(
        self,
        model: type[ModelT],
        *path: str,
        body: Mapping[str, JsonValue],
        method: Literal["PATCH", "PUT"] = "PATCH",
    ) -> ModelT:
        """Change something, which is the same if it is done again. Raises as `post`."""
        return self._parsed(model, await self.send(method, path, body=body, again=True))

    async def delete(
        self, model: type[ModelT], *path: str, parameters: Parameters = _NO_PARAMETERS
    ) -> ModelT:
        """Delete something. Raises as `post`."""
        return self._parsed(model, await self.send("DELETE", path, parameters))

    async def send(
        self,
        method: str,
        path: Sequence[str],
        parameters: Parameters = _NO_PARAMETERS,
        *,
        body: Mapping[str, JsonValue] | None = None,
        key: str | None = None,
        again: bool = False,
    ) -> httpx2.Response:
        """Send a request, and return the answer unless it is a refusal. Raises as `post`."""
        request = self._client.build_request(
            method,
            self._url(path),
            params=_texts(parameters),
            json=body,
            headers={} if key is None else {"Idempotency-Key": key},
        )
        response = await self._attempt(request, _PAUSES if again else ())
        if _OK <= response.status_code < _REFUSED:
            return response
        raise error_of(response, self.url)

    @asynccontextmanager
    async def stream(
        self,
        *path: str,
        parameters: Parameters = _NO_PARAMETERS,
        accept: str,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[httpx2.Response]:
        """Read an answer while it comes. Raises as `get`; `TransportError` once it has begun."""
        request = self._client.build_request(
            "GET",
            self._url(path),
            params=_texts(parameters),
            headers={**(headers or {}), "Accept": accept},
            timeout=_STREAM_TIMEOUT,
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TransportError as error:
            raise self._unreachable(error, "GET") from None
        try:
            if response.status_code != _OK:
                await response.aread()
                raise error_of(response, self.url)
            yield response
        finally:
            await response.aclose()

    def interrupted(self, error: httpx2.TransportError) -> Unavailable:
        """Return the error for an answer that broke off."""
        return Unavailable(
            f"The answer of Kern's API at {self.url} broke off ({type(error).__name__}). Try again."
        )

    async def _attempt(self, request: httpx2.Request, pauses: Sequence[float]) -> httpx2.Response:
        """Send a request, and after each of the pauses once more while no answer comes."""
        for pause in pauses:
            try:
                return await self._client.send(request)
            except httpx2.TimeoutException as error:
                # Whoever waits has waited long enough.
                raise self._unreachable(error, request.method) from None
            except httpx2.TransportError:
                await asyncio.sleep(pause)
        try:
            return await self._client.send(request)
        except httpx2.TransportError as error:
            raise self._unreachable(error, request.method) from None

    def _url(self, path: Sequence[str]) -> str:
        return "/".join([self.url, "v1", *(quote(part, safe="") for part in path)])

    def _parsed(self, model: type[ModelT], response: httpx2.Response) -> ModelT:
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            raise not_kern(response.status_code, self.url) from None

    def _unreachable(self, error: httpx2.TransportError, method: str) -> Unavailable:
        why = str(error).rstrip(".") or type(error).__name__
        is_sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        unknown = (
            "It is not known whether the change was made: look before you repeat it. "
            if is_sent and method != "GET"
            else ""
        )
        return Unavailable(
            f"Kern's API at {self.url} does not answer: {why}. {unknown}Check KERN_API_URL, and "
            "that `kern serve` runs there."
        )


def _texts(parameters: Parameters) -> dict[str, str]:
    """Return parameters as a query has them; those that are None are left out."""
    return {name: _text(value) for name, value in parameters.items() if value is not None}


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
