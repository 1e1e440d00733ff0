"""The attempts that are alive in one process: their calls are being executed, or their ends stored.

While an attempt is alive, its row says so every few seconds.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from kern.db.engine.store import Store
from kern.db.turns import leases
from kern.errors import KernError
from kern.values.attempts import beat_seconds_of

# After so many seconds, whoever waits for an attempt reads the call's row again.
_RECHECK_SECONDS = 10.0


@dataclass
class _LiveAttempt:
    """An attempt that is alive, and its number of holders."""

    holders: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class LiveAttempts:
    """Knows the attempts of a process by their tokens, and renews their leases.

    Args:
        db: The database that has the calls.
        lease: For how long after a beat nothing may be executed in an attempt's place.
    """

    def __init__(self, db: Store, lease: timedelta) -> None:
        self._db = db
        self._lease = lease
        self._attempts: dict[str, _LiveAttempt] = {}
        self._beating: asyncio.Task[None] | None = None

    @contextmanager
    def holding(self, token: str) -> Generator[None]:
        """Mark the attempt of this token as alive within the block."""
        attempt = self._attempts.setdefault(token, _LiveAttempt())
        attempt.holders += 1
        if self._beating is None or self._beating.done():
            self._beating = asyncio.get_running_loop().create_task(self._beat())
        try:
            yield
        finally:
            attempt.holders -= 1
            if not attempt.holders:
                del self._attempts[token]
                attempt.is_over.set()

    def is_alive(self, token: str) -> bool:
        """Whether an attempt is alive; may be called from any thread."""
        return token in self._attempts

    async def until_over(self, token: str) -> None:
        """Wait until an attempt is over, or for some seconds."""
        attempt = self._attempts.get(token)
        if attempt is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(attempt.is_over.wait(), _RECHECK_SECONDS)

    def close(self) -> None:
        """Renew no more leases."""
        if self._beating is not None:
            self._beating.cancel()

    async def _beat(self) -> None:
        """Renew the leases of the attempts that have been alive for a while."""
        earlier: set[str] = set()
        while self._attempts:
            await asyncio.sleep(beat_seconds_of(self._lease))
            tokens = sorted(earlier & self._attempts.keys())
            earlier = set(self._attempts)
            if tokens:
                now = datetime.now(UTC)
                with suppress(KernError):
                    await self._db.write(
                        partial(leases.beat, tokens=tokens, now=now, lease=self._lease)
                    )
