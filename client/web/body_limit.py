"""Bounds what a request may send: a larger body is refused as a problem, as soon as it is."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1_000_000
_DETAIL = f"The body has more than {MOST_BYTES:,} bytes"


class BodyLimit:
    """Refuses larger bodies when they are read, whether their length was announced or not.

    The refusal is raised where the application reads the body, so that it is answered as all
    others are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next(
            (value for name, value in scope["headers"] if name == b"content-length"), b"0"
        )
        count = 0

        async def receive_bounded() -> Message:
            nonlocal count
            if announced.isdigit() and int(announced) > MOST_BYTES:
                raise HTTPException(413, _DETAIL)
            message = await receive()
            count += len(message.get("body", b""))
            if count > MOST_BYTES:
                raise HTTPException(413, _DETAIL)
            return message

        await self._app(scope, receive_bounded, send)
