"""Publishes the text of model turns, in this process and through Postgres to others."""

import asyncio
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from kern.db.engine import pg_notify
from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore
from kern.errors import KernError
from kern.process.live_text import LiveText, Publisher
from kern.process.logs import get_logger

_log = get_logger("kern.publishing")

# So that a fast model costs the database some twenty-five notices a second, not hundreds.
_BETWEEN = 0.04
_AFTER_FAILURE = 1.0


def publisher_for(db: Store) -> Publisher:
    """Return the publisher that reaches all readers of the database."""
    return Sender(db) if isinstance(db, PostgresStore) else db.broadcaster


class Sender:
    """Sends texts as they grow: the first piece at once, then in batches.

    The model never waits for it. It remembers only how far each text was sent. A piece that cannot
    be sent is sent with the next one, or not at all.
    """

    def __init__(self, db: Store) -> None:
        self._db = db
        self._sent: dict[LiveText, int | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, run_id: str, turn: int, attempt: int) -> LiveText:
        """Begin the text of an attempt. Call it on the event loop that sends."""
        self._loop = asyncio.get_running_loop()
        return self._db.broadcaster.begin(run_id, turn, attempt, self._on_growth, self._ended)

    def _on_growth(self, text: LiveText) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._note, text)

    def _note(self, text: LiveText) -> None:
        if text.is_closed:
            return
        self._sent.setdefault(text, None)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send())

    def _ended(self, text: LiveText) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._sent.pop, text, None)

    async def _send(self) -> None:
        while unsent := self._unsent():
            batch = [
                notice
                for text in unsent
                for notice in pg_notify.pieces(text, self._sent[text] or 0)
            ]
            wait = _BETWEEN
            try:
                await self._db.write(partial(pg_notify.send, notices=batch))
            except (KernError, SQLAlchemyError) as error:
                _log.warning("text_not_sent", why=str(error))
                wait = _AFTER_FAILURE
            else:
                self._sent.update({text: to for text, to in unsent.items() if text in self._sent})
            await asyncio.sleep(wait)

    def _unsent(self) -> dict[LiveText, int]:
        """Return the texts that have unsent characters, and their present lengths."""
        return {
            text: text.length
            for text, sent in self._sent.items()
            if sent is None or sent < text.length
        }
