"""How a stream learns that its server stops: uvicorn only waits for the streams that are open."""

import asyncio
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

_KEY = "kern.stopping"


class Stopping:
    """Hands the requests of an application an event that is set when its server stops."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.event = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope[_KEY] = self.event
        await self._app(scope, receive, send)


def stopping_of(scope: Scope) -> asyncio.Event:
    """Return the event that is set when the server of a request stops."""
    return cast("asyncio.Event | None", scope.get(_KEY)) or asyncio.Event()
