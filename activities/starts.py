"""Whether the code of an attempt begins, or is given up before: one of both, once; and its end.

An attempt takes its call in a transaction, and its code begins in another thread, a moment later.
In between the activity may be cancelled, or the whole process frozen for so long that others took
the attempt for dead, asked a person, and got the answer not to do it. So both sides go through one
`Start`: `give_up` succeeds only while the code has not begun, and `begin` only while nobody gave it
up and, if more than a moment has passed, only if the call's row still names this attempt.

Code that nobody waits for any more may still execute; `is_executing` says so, and `on_end` when it
no longer does.
"""

import threading
import time
from collections.abc import Callable

# Taking a call and beginning it are milliseconds apart.
_MOMENT = 0.2


class Start:
    """The start of one attempt's code.

    Args:
        confirm: Asks the call's row whether the attempt still has it, in the calling thread.
    """

    def __init__(self, confirm: Callable[[], bool]) -> None:
        self._confirm = confirm
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._has_begun = self._has_ended = False
        self._on_begin: Callable[[], object] = bool
        self._on_end: Callable[[], object] = bool
        # A frozen process does not see the monotonic clock stop, but a suspended machine does.
        self._taken_at = (time.monotonic(), time.time())

    @property
    def is_late(self) -> bool:
        """Whether the call's row has to be asked again before the code begins."""
        now = (time.monotonic(), time.time())
        return any(abs(b - a) > _MOMENT for a, b in zip(self._taken_at, now, strict=True))

    def on_begin(self, act: Callable[[], object]) -> None:
        """Have `act` called when the code begins, in its thread, or at once if it has begun."""
        with self._lock:
            self._on_begin = act
            if not self._has_begun:
                return
        act()

    @property
    def is_executing(self) -> bool:
        """Whether the code has begun and has not ended, whoever still waits for it."""
        return self._has_begun and not self._has_ended

    def on_end(self, act: Callable[[], object]) -> None:
        """Have `act` called when the code ends, in its thread, or at once if none is executing."""
        with self._lock:
            self._on_end = act
            if self.is_executing:
                return
        act()

    def confirm(self) -> bool:
        """Ask the call's row; if it names this attempt no more, the code never begins."""
        try:
            is_mine = self._confirm()
        except Exception:  # noqa: BLE001  whoever cannot ask does not begin
            is_mine = False
        if not is_mine:
            self.give_up()
        return is_mine

    def begin(self) -> bool:
        """Begin the code, right after this returned True; False: it must not."""
        with self._lock:
            if self._is_abandoned or self._has_begun:
                return False
            self._has_begun = True
        self._on_begin()
        return True

    def end(self) -> None:
        """Note that the code has ended."""
        with self._lock:
            self._has_ended = True
        self._on_end()

    def give_up(self) -> bool:
        """Keep the code from beginning; False if it has begun."""
        with self._lock:
            self._is_abandoned = self._is_abandoned or not self._has_begun
            return self._is_abandoned
