"""Restarts background work that an error ended: a script has no orchestrator that would do so."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from kern.process.logs import get_logger

_log = get_logger("kern.runtime")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# Work that lived this long had started properly, so its next failure is a new one.
_HEALTHY_SECONDS = 60.0


async def supervise(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    stopping: asyncio.Event | None = None,
) -> None:
    """Do work that runs until it is stopped, and start it again whenever an error ends it.

    The wait before each restart doubles, up to half a minute. This returns when the work ends
    without an error, or when it would be restarted while `stopping` is set.
    """
    stopping = stopping or asyncio.Event()
    clock, wait = asyncio.get_running_loop().time, _FIRST_WAIT
    while not stopping.is_set():
        started_at = clock()
        try:
            await work()
        except Exception as error:  # noqa: BLE001  without it, runs would wait for ever
            wait = _FIRST_WAIT if clock() - started_at > _HEALTHY_SECONDS else wait
            why = f"{type(error).__name__}: {error}"
            _log.warning("work_restarts", work=name, seconds=wait, why=why)
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait)
        wait = min(wait * 2, _LONGEST_WAIT)
