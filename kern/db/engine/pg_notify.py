"""Notices between processes through Postgres: that a run has news, and pieces of its text.

A notice is a hint. A process that missed it finds the same in the tables; missed pieces of text are
there, as a whole, once their turn is stored.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from sqlalchemy import Engine, bindparam, func, select
from sqlmodel import Session

from kern.process.live_text import Broadcaster, LiveText
from kern.process.logs import get_logger

_log = get_logger("kern.notices")

CHANNEL = "kern"
# A notice has at most 7,999 bytes, and JSON writes some characters with six.
_CHARACTERS = 1_000
_SEND = select(func.pg_notify(CHANNEL, bindparam("notice")))
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_PATIENCE = 5.0


def news(run_id: str, seq: int) -> str:
    """Write the notice that a run has events up to a number."""
    return json.dumps({"run": run_id, "seq": seq})


def pieces(text: LiveText, offset: int) -> Iterator[str]:
    """Write the notices for a text from an offset on: at least one, for its beginning."""
    remaining = text.since(offset)
    place = [text.turn, text.attempt, text.token]
    for start in range(0, len(remaining) or 1, _CHARACTERS):
        piece = remaining[start : start + _CHARACTERS]
        content = {"run": text.run_id, "place": place, "at": offset + start, "text": piece}
        yield json.dumps(content, ensure_ascii=False)


def send(tx: Session, notices: Sequence[str]) -> None:
    """Send notices when the transaction is committed."""
    for notice in notices:
        tx.connection().execute(_SEND, {"notice": notice})


class Listener:
    """Receives the notices of all processes, on one connection for this one.

    A broken connection is replaced, and every reader then looks at the tables.
    """

    def __init__(self, engine: Engine, broadcaster: Broadcaster) -> None:
        self._engine = engine
        self._broadcaster = broadcaster
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether notices are received now."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Start listening. It waits a few seconds for the connection, which may also come later."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), _PATIENCE)

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        import psycopg  # noqa: PLC0415  slow to import, and SQLite needs none of it

        wait = _FIRST_WAIT
        while True:
            try:
                await self._hear_all()
            except (psycopg.Error, OSError) as error:
                if self.is_listening:
                    wait = _FIRST_WAIT
                _log.warning("listening_again", seconds=wait, why=str(error).strip())
            finally:
                self._connected.clear()
            self._broadcaster.missed()
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _hear_all(self) -> None:
        import psycopg  # noqa: PLC0415  as above

        url = self._engine.url
        _, options = self._engine.dialect.create_connect_args(url)
        connection = await psycopg.AsyncConnection.connect(**options, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._connected.set()
            # Earlier notices are not received.
            self._broadcaster.missed()
            async for notice in connection.notifies():
                self._hear(notice.payload)

    def _hear(self, notice: str) -> None:
        """Pass a notice on; ignore those of later versions of Kern, or of other programs."""
        with suppress(ValueError, KeyError, TypeError):
            content = json.loads(notice)
            if "seq" in content:
                self._broadcaster.committed({str(content["run"]): int(content["seq"])})
            else:
                turn, attempt, token = content["place"]
                place = (int(turn), int(attempt), str(token))
                self._broadcaster.hear(
                    str(content["run"]), place, int(content["at"]), str(content["text"])
                )
