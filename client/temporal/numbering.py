"""Gives the rows of the feed their numbers, and deletes those that are too old."""

import asyncio
from datetime import datetime, timedelta

from kern.db.engine.store import Store
from kern.db.journal import feed
from kern.process.clock import utc_now
from kern.process.live_text import FEED_CHANNEL, Follower
from kern.process.logs import get_logger

_log = get_logger("kern.feed")

_PRUNE_SECONDS = 600.0


class Numberer:
    """Numbers what was committed. Any number of processes may have one."""

    def __init__(self, db: Store) -> None:
        self._db = db

    async def run(self, seconds: float, retention: timedelta) -> None:
        """Work until cancelled: after each commit in this process, and every moment for others.

        Args:
            seconds: How often what other processes wrote is looked for.
            retention: How long the feed is kept.
        """
        follower = self._db.broadcaster.follow(FEED_CHANNEL)
        try:
            await self._work(follower, seconds, retention)
        finally:
            follower.close()

    async def number(self) -> int:
        """Number what has no number yet; return how many rows that were."""
        count = 0
        while await self._db.read(feed.is_any_unnumbered):
            batch = await self._db.write(feed.number)
            if not batch:
                # Another one is at it.
                break
            count += batch
        return count

    async def prune(self, before: datetime) -> int:
        """Delete what is older than this; return how many rows that were."""
        count = 0
        while batch := await self._db.write(lambda tx: feed.prune(tx, before)):
            count += batch
        return count

    async def _work(self, follower: Follower, seconds: float, retention: timedelta) -> None:
        loop = asyncio.get_running_loop()
        next_prune = loop.time()
        while True:
            is_prune_due = loop.time() >= next_prune
            await self._step(retention if is_prune_due else None)
            if is_prune_due:
                next_prune = loop.time() + _PRUNE_SECONDS
            await follower.wait(seconds)

    async def _step(self, retention: timedelta | None) -> None:
        try:
            await self.number()
            if retention is not None:
                await self.prune(utc_now() - retention)
        except Exception as error:  # noqa: BLE001  nobody else numbers for this process
            _log.warning("numbering_failed", why=f"{type(error).__name__}: {error}")
