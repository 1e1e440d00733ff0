"""Conditional reads: an answer that the caller has already is not sent again."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

_READS = frozenset({"GET", "HEAD"})


class ConditionalRoute(APIRoute):
    """A route whose reads carry an `ETag`, and answer 304 to whoever has that already."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await handle(request)
            body = getattr(response, "body", None)
            is_read = request.method in _READS and response.status_code == 200  # noqa: PLR2004  OK
            if not is_read or not isinstance(body, bytes):
                return response
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            if tag in _tags(request.headers.get("If-None-Match", "")):
                return Response(status_code=304, headers={"ETag": tag})
            response.headers["ETag"] = tag
            return response

        return answer


def _tags(value: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in value.split(",")}
