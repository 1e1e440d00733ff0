"""Posts JSON to one server through the openai client and gives the answer back as plain JSON."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from json import JSONDecodeError
from threading import Lock
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from pydantic import JsonValue

from kern.models.openai.errors import Target, openai_error, raised_error

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_DEFAULT_BASE_URL = "https://api.openai.com/v1"
_PLACEHOLDER_KEY = "none-needed"
_CONNECT_SECONDS = 10.0


class Endpoint:
    """One server and one model on it, with a connection pool per event loop.

    A loop's pool is closed when the loop shuts down its asynchronous generators, as `asyncio.run`
    does.
    """

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, timeout: float
    ) -> None:
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        self._lock = Lock()
        self._clients: dict[
            asyncio.AbstractEventLoop, tuple[AsyncOpenAI, AsyncGenerator[None]]
        ] = {}

    @property
    def target(self) -> Target:
        """Whom errors name; the environment is read late, as keys may be set after construction."""
        base_url = self._base_url or os.environ.get("OPENAI_BASE_URL") or _DEFAULT_BASE_URL
        key = (self._api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        return Target(self._model, base_url.strip(), key or None)

    async def post(self, path: str, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Post `body` and return the whole answer.

        Raises:
            ProviderError: the provider failed or refused, or its answer is no JSON object.
        """
        target = self.target
        async with self._guard(target):
            client = await self._client(target)
            # The typed methods would transform each item of the conversation and, for the answer,
            # drift from what servers really send; `post` passes the JSON on as it is.
            answer = await client.post(path, body=body, cast_to=object)
        if not isinstance(answer, dict):
            what = f"it answered with no JSON object: {str(answer)[:200]!r}"
            step = "Check that `base_url` is an OpenAI-compatible API (most end in /v1)."
            raise target.error(what, code="refused", retryable=False, next_step=step)
        return cast("dict[str, JsonValue]", answer)

    async def stream(
        self,
        path: str,
        body: dict[str, JsonValue],
        take: Callable[[dict[str, JsonValue]], None],
    ) -> None:
        """Post `body` and pass each event of the streamed answer to `take`, until the stream ends.

        Raises:
            ProviderError: as for `post`, also after some events.
        """
        target = self.target
        async with self._guard(target):
            client = await self._client(target)
            from openai import AsyncStream  # noqa: PLC0415 (1.7 s; `_build` loaded it in a thread)

            events = await client.post(
                path, body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
            )
            async with events:
                async for event in events:
                    if isinstance(event, dict):
                        take(cast("dict[str, JsonValue]", event))

    @asynccontextmanager
    async def _guard(self, target: Target) -> AsyncGenerator[None]:
        try:
            # The client's own timeout starts anew with each piece of data: a trickle never ends.
            async with asyncio.timeout(self._timeout):
                yield
        except (TimeoutError, JSONDecodeError, UnicodeDecodeError, openai_error()) as error:
            # Not chained: the original's text may hold the key.
            raise raised_error(target, error) from None

    async def _client(self, target: Target) -> "AsyncOpenAI":
        loop = asyncio.get_running_loop()
        with self._lock:
            for known, (client, _) in list(self._clients.items()):
                if known.is_closed() or client.is_closed():
                    del self._clients[known]
            if loop in self._clients:
                return self._clients[loop][0]
        key = _usable_key(target)
        built = await asyncio.to_thread(_build, target.base_url, key, self._timeout)
        life = _life(built)
        with self._lock:
            if loop in self._clients:
                return self._clients[loop][0]
            self._clients[loop] = (built, life)
        await anext(life)
        return built


def _usable_key(target: Target) -> str:
    parts = urlsplit(target.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        what = f"{target.base_url!r} is no http(s) URL"
        step = "Pass a `base_url` (or set OPENAI_BASE_URL) like http://127.0.0.1:8080/v1."
        raise target.error(what, code="refused", retryable=False, next_step=step)
    key = target.secret
    if key is None and target.base_url == _DEFAULT_BASE_URL:
        what = "there is no API key"
        step = "Set OPENAI_API_KEY or pass `api_key=`; a local server needs only `base_url=`."
        raise target.error(what, code="refused", retryable=False, next_step=step)
    if key is not None and not (key.isascii() and key.isprintable()):
        what = "the API key holds characters that no HTTP header can carry"
        step = "Copy the key again: `api_key=` or OPENAI_API_KEY."
        raise target.error(what, code="refused", retryable=False, next_step=step)
    return key or _PLACEHOLDER_KEY


def _build(base_url: str, key: str, timeout: float) -> "AsyncOpenAI":
    """Load openai and make a client; it runs in a thread, as loading takes 1.7 s."""
    import openai  # noqa: PLC0415 (so that importing kern stays fast)

    seconds = openai.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
    # The client that openai would make by itself closes its sockets on whatever loop runs when it
    # is collected; this one leaves that to `_life`.
    http = openai.DefaultAsyncHttpxClient(base_url=base_url, timeout=seconds)
    return openai.AsyncOpenAI(
        base_url=base_url, api_key=key, timeout=seconds, max_retries=0, http_client=http
    )


async def _life(client: "AsyncOpenAI") -> AsyncGenerator[None]:
    """Hold `client` open until the event loop that this was begun on shuts down."""
    try:
        yield
    finally:
        await client.close()
