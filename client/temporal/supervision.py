"""Keeps work alive that nobody would start again: in a script, no orchestrator looks after it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from kern.process.logs import get_logger

_log = get_logger("kern.runtime")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# What lived this long had come up; what ends it then is another failure than the last.
_SOUND_SECONDS = 60.0


async def kept_alive(
    what: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    stopping: asyncio.Event | None = None,
) -> None:
    """Do work that goes on until it is stopped, and begin again whenever an error ends it.

    Each time it is waited longer, up to half a minute. It returns when the work ends by itself, or
    is to begin again while everything is `stopping`.
    """
    stopping = stopping or asyncio.Event()
    clock, wait = asyncio.get_running_loop().time, _FIRST_WAIT
    while not stopping.is_set():
        begun = clock()
        try:
            await work()
        except Exception as error:  # noqa: BLE001  whatever ended it, runs would wait for ever
            wait = _FIRST_WAIT if clock() - begun > _SOUND_SECONDS else wait
            why = f"{type(error).__name__}: {error}"
            _log.warning("begun_again", what=what, seconds=wait, why=why)
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait)
        wait = min(wait * 2, _LONGEST_WAIT)
