"""A real SMTP server, which keeps what it is sent."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    """What was delivered to anybody.

    Attributes:
        refuses: How often the server refuses a message before it takes one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    refuses: int = 0

    def url(self, to: str) -> str:
        """Return the channel that sends mail to somebody."""
        return f"mailto://{self.host}:{self.port}?from=kern@example.com&to={to}"

    def subjects(self, to: str) -> list[str]:
        return [str(mail["Subject"]) for names, mail in list(self.mails) if to in names]

    def text(self, to: str) -> str:
        """Return the text of the last mail to somebody."""
        mails = [mail for names, mail in self.mails if to in names]
        part: Any = mails[-1].get_body(("plain",))  # type: ignore[attr-defined]
        text: str = part.get_content()
        return text


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: ANN401, N802  aiosmtpd's
        if self._mailbox.refuses:
            self._mailbox.refuses -= 1
            return "451 try again later"
        mail = message_from_bytes(envelope.content, policy=default)
        self._mailbox.mails.append((list(envelope.rcpt_tos), mail))
        return "250 OK"


@contextmanager
def mail_server() -> Generator[Mailbox]:
    """Serve SMTP on a free port of this machine as long as the block lasts."""
    # The controller calls the port that it is given, so it cannot choose one.
    with socket.create_server(("127.0.0.1", 0)) as free:
        mailbox = Mailbox(port=free.getsockname()[1])
    controller = Controller(_Handler(mailbox), hostname=mailbox.host, port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
