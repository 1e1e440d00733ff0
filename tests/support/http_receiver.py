"""A receiver of webhooks, which verifies signatures, and fails, hangs or redirects on demand."""

import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.threaded_server import ThreadedServer


@dataclass
class Received:
    """A request: its headers, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in it."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    def is_signed_with(self, secret: str) -> bool:
        """Whether a receiver that has this secret accepts it."""
        try:
            Webhook(secret).verify(self.body, self.headers)
        except WebhookVerificationError:
            return False
        return True


class Receiver(ThreadedServer):
    """Receives while it is entered, and answers with a status and a body.

    Args:
        tls: With what it proves who it is; None for plain HTTP.

    Attributes:
        location: Where a redirect leads.
        hangs: Set while requests get no answer.
        length: How long a body is said to be, if that is not true: then it is cut off.
        stalls: Set while answers begin, and do not end.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.status = 204
        self.body = b""
        self.location: str | None = None
        self.received: list[Received] = []
        self.hangs = False
        self.length: int | None = None
        self.stalls = False
        self._let_go = threading.Event()
        http = _Http(("127.0.0.1", 0), _Handler)
        http.receiver = self
        if tls is not None:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        super().__init__(http)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()
        super().__exit__(kind, error, trace)

    @property
    def kinds(self) -> list[str]:
        """What the events are about, in the order in which they came."""
        return [item.event["data"]["kind"] for item in list(self.received)]

    def url(self, path: str = "/hook") -> str:
        """Return where it receives."""
        return f"{self.address}{path}"

    def wait(self) -> None:
        """Leave a request without an answer."""
        self._let_go.wait(30)

    def let_go(self) -> None:
        """Answer the requests that hang."""
        self._let_go.set()


class _Http(ThreadingHTTPServer):
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = cast("_Http", self.server).receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        receiver.received.append(Received(self.path, dict(self.headers.items()), body))
        if receiver.hangs:
            receiver.wait()
        self.send_response(receiver.status)
        if receiver.location is not None:
            self.send_header("Location", receiver.location)
        if receiver.status != 204:
            length = len(receiver.body) if receiver.length is None else receiver.length
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if receiver.status != 204:
            self.wfile.write(receiver.body)
        if receiver.stalls:
            receiver.wait()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
