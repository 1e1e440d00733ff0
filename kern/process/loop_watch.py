"""Watches an event loop: code that blocks it stops everything that the process does on it."""

import asyncio
import sys
import threading
import time
import traceback

from kern.process.logs import get_logger

_log = get_logger("kern.loop")

# A loop that has not turned for so long is reported.
LAG_SECONDS = 1.0
# After the whole process was stopped for a while, the loop turns within this.
_PROCESS_STOPPED_SECONDS = 0.1
_PLACES = 3
_ADVICE = (
    "Heartbeats, deadlines and other runs wait meanwhile. Call blocking code in a thread: write a "
    "model's `respond` without `async`, or use `asyncio.to_thread`."
)


class LoopWatch:
    """Asks a loop from a thread of its own, a few times a second, whether it turns.

    Args:
        lag: From how many seconds on it is reported that the loop did not.
    """

    def __init__(self, lag: float = LAG_SECONDS) -> None:
        self._lag = lag
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to watch the running loop."""
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
        watching = threading.Thread(
            target=self._watch, args=(loop, thread), name="kern-loop-watch", daemon=True
        )
        watching.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._over.wait(self._lag / 2):
            turned, since = threading.Event(), time.monotonic()
            try:
                loop.call_soon_threadsafe(turned.set)
            except RuntimeError:
                # The loop is closed.
                return
            if turned.wait(self._lag) or turned.wait(_PROCESS_STOPPED_SECONDS):
                continue
            # While it is blocked: afterwards nobody could say by what.
            place = _place_of(thread)
            _log.warning("loop_blocked", seconds=self._lag, at=place, advice=_ADVICE)
            while not turned.wait(self._lag):
                if self._over.is_set() or loop.is_closed():
                    return
            seconds = round(time.monotonic() - since, 1)
            _log.warning("loop_was_blocked", seconds=seconds, at=place, advice=_ADVICE)


def _place_of(thread: int) -> str:
    """Return where a thread is, the innermost place first, without any values."""
    # The only way to see what another thread executes.
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if frame is None:
        return ""
    stack = traceback.extract_stack(frame)[-_PLACES:]
    return ", ".join(f"{item.filename}:{item.lineno} in {item.name}" for item in reversed(stack))
