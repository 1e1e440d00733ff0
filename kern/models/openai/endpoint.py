"""Posts JSON to one server through the openai client and gives the answer back as plain JSON."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from json import JSONDecodeError
from typing import cast
from urllib.parse import urlsplit

from pydantic import JsonValue

from kern.models.openai.clients import client_for
from kern.models.openai.errors import Target, openai_error, raised_error

_DEFAULT_BASE_URL = "https://api.openai.com/v1"
_PLACEHOLDER_KEY = "none-needed"


class Endpoint:
    """One model on one server: where it is, with which key, and how long a call may take."""

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, timeout: float
    ) -> None:
        self._model = model
        self.base_url = base_url
        self._api_key = api_key
        self._timeout = timeout

    @property
    def target(self) -> Target:
        """Whom errors name; the environment is read late, as keys may be set after construction."""
        base_url = self.base_url or os.environ.get("OPENAI_BASE_URL") or _DEFAULT_BASE_URL
        key = (self._api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        return Target(self._model, base_url.strip(), key or None)

    async def post(self, path: str, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Post `body` and return the whole answer.

        Raises:
            ProviderError: the provider failed or refused, or its answer is no JSON object.
        """
        target = self.target
        async with self._guard(target):
            client = await client_for(target.base_url, _usable_key(target))
            # The typed methods would transform each item of the conversation and, for the answer,
            # drift from what servers really send; `post` passes the JSON on as it is.
            answer = await client.post(path, body=body, cast_to=object)
        if not isinstance(answer, dict):
            problem = f"it answered with no JSON object: {str(answer)[:200]!r}"
            step = "Check that `base_url` is an OpenAI-compatible API (most end in /v1)."
            raise target.error(problem, code="refused", retryable=False, next_step=step)
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
            client = await client_for(target.base_url, _usable_key(target))
            from openai import AsyncStream  # noqa: PLC0415 (1.7 s; `client_for` has loaded it)

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
            # The client's own timeout would start anew with each piece of data that trickles in.
            async with asyncio.timeout(self._timeout):
                yield
        except (TimeoutError, JSONDecodeError, UnicodeDecodeError, openai_error()) as error:
            # Not chained: the original's text may hold the key.
            raise raised_error(target, error) from None


def _usable_key(target: Target) -> str:
    parts = urlsplit(target.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        problem = f"{target.base_url!r} is no http(s) URL"
        step = "Pass a `base_url` (or set OPENAI_BASE_URL) like http://127.0.0.1:8080/v1."
        raise target.error(problem, code="refused", retryable=False, next_step=step)
    key = target.secret
    if key is None and target.base_url == _DEFAULT_BASE_URL:
        problem = "there is no API key"
        step = "Set OPENAI_API_KEY or pass `api_key=`; a local server needs only `base_url=`."
        raise target.error(problem, code="refused", retryable=False, next_step=step)
    if key is not None and not (key.isascii() and key.isprintable()):
        problem = "the API key holds characters that no HTTP header can carry"
        step = "Copy the key again: `api_key=` or OPENAI_API_KEY."
        raise target.error(problem, code="refused", retryable=False, next_step=step)
    return key or _PLACEHOLDER_KEY
