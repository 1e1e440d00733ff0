"""Notifications between processes through Postgres: a run has new events, or more text.

A notification is a hint. A process that missed one finds the events in the tables; the text of a
turn is there, whole, once the turn is stored.

A pooler in transaction mode loses them: a statement LISTEN succeeds there, and hears nothing. So a
listener sends itself one through the connections that writers use, and counts only once that is
heard. Until then, readers look at the tables often.

Postgres keeps channels apart by database, and Kern by schema: each installation has its own.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, bindparam, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from kern.db.engine.postgres_connections import connect_options
from kern.db.engine.schema import schema_of
from kern.process.live_text import Broadcaster, LiveText
from kern.process.logs import get_logger
from kern.values.ids import new_id

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_log = get_logger("kern.notices")

# A payload has at most 7,999 bytes, and JSON writes some characters with six.
_CHARACTERS = 1_000
_SEND = select(func.pg_notify(bindparam("channel"), bindparam("payload")))
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_START_SECONDS = 5.0
_ADVICE = (
    "LISTEN hears nothing here, as behind a pooler in transaction mode: readers poll. Set "
    "KERN_LISTEN_URL to the URL of the database itself."
)
_TEST_SECONDS = 2.0


def channel(bind: Engine | Connection) -> str:
    """Return the channel of the installation whose tables lie in a schema."""
    return f"kern_{schema_of(bind)}"


def news(run_id: str, seq: int) -> str:
    """Return the payload that announces events of a run up to a number."""
    return json.dumps({"run": run_id, "seq": seq})


def pieces(text: LiveText, offset: int) -> Iterator[str]:
    """Return the payloads of a text from an offset on; at least one, to announce an empty text."""
    new_text = text.since(offset)
    place = [text.turn, text.attempt, text.token]
    for start in range(0, len(new_text) or 1, _CHARACTERS):
        piece = new_text[start : start + _CHARACTERS]
        content = {"run": text.run_id, "place": place, "at": offset + start, "text": piece}
        yield json.dumps(content, ensure_ascii=False)


def send(tx: Session, notices: Sequence[str]) -> None:
    """Send payloads to all listeners when the transaction is committed."""
    connection = tx.connection()
    for payload in notices:
        connection.execute(_SEND, {"channel": channel(connection), "payload": payload})


class Listener:
    """Receives the notifications of all processes, on one connection for this process.

    A connection that breaks is replaced; then every reader looks at the tables.

    Args:
        engine: The connections of this process's writers.
        broadcaster: Hears what arrives.
        url: Where notifications are heard: the engine's URL, or one that passes by its pooler.
    """

    def __init__(self, engine: Engine, broadcaster: Broadcaster, url: URL) -> None:
        self._engine = engine
        self._url = url
        self._broadcaster = broadcaster
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        # Set once it is known whether notifications arrive.
        self._tested = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._test = ""

    @property
    def is_listening(self) -> bool:
        """Whether notifications are received now."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Begin to listen; return once it is known whether notifications arrive.

        While the database is away, it returns after a few seconds, and keeps trying.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tested.wait(), _START_SECONDS)

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._sending is not None:
            # A thread cannot be cancelled, and holds one of the writers' connections.
            await asyncio.wait({self._sending})

    async def _listen(self) -> None:
        import psycopg  # noqa: PLC0415  slow to import, and SQLite needs none of it

        wait = _FIRST_WAIT
        while True:
            try:
                await self._receive()
            except (psycopg.Error, SQLAlchemyError, OSError) as error:
                if self.is_listening:
                    wait = _FIRST_WAIT
                _log.warning("listening_again", seconds=wait, why=str(error).strip())
            finally:
                self._connected.clear()
            self._broadcaster.missed()
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _receive(self) -> None:
        import psycopg  # noqa: PLC0415  as above
        from psycopg import sql  # noqa: PLC0415  as above

        name = sql.Identifier(channel(self._engine))
        _, options = self._engine.dialect.create_connect_args(self._url)
        options.update(connect_options(self._url))
        connection = await psycopg.AsyncConnection.connect(**options)
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(name))
            is_heard = await self._hears_itself(connection)
            self._tested.set()
            if is_heard:
                self._connected.set()
            else:
                _log.warning("notifications_lost", seconds=_TEST_SECONDS, advice=_ADVICE)
            # Notifications from before are lost.
            self._broadcaster.missed()
            async for notification in connection.notifies():
                if notification.payload == self._test:
                    # It was late: the machine or the network is slow.
                    self._connected.set()
                    self._broadcaster.missed()
                self._forward(notification.payload)

    async def _hears_itself(self, connection: "AsyncConnection") -> bool:
        """Whether a notification arrives that is sent the way in which writers send theirs."""
        self._test = json.dumps({"test": new_id()})
        self._sending = asyncio.create_task(asyncio.to_thread(self._send_test, self._test))
        await asyncio.shield(self._sending)
        async with aclosing(connection.notifies(timeout=_TEST_SECONDS)) as notifications:
            async for notification in notifications:
                if notification.payload == self._test:
                    return True
        return False

    def _send_test(self, payload: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(_SEND, {"channel": channel(connection), "payload": payload})

    def _forward(self, payload: str) -> None:
        """Pass a notification on; an unknown one, of a later version or a stranger, is ignored."""
        with suppress(ValueError, KeyError, TypeError):
            content = json.loads(payload)
            run_id = str(content["run"])
            if "seq" in content:
                self._broadcaster.committed({run_id: int(content["seq"])})
            else:
                turn, attempt, token = content["place"]
                place = (int(turn), int(attempt), str(token))
                self._broadcaster.hear(run_id, place, int(content["at"]), str(content["text"]))
