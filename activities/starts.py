"""Whether the code of an attempt begins, or is given up before: one of both, once; and its end.

An attempt takes its call in a transaction, and its code begins later, in another thread. In between
anything may block for any time: a log's reader, a validator, a predicate, a frozen process. Others
may take the attempt for dead meanwhile, ask a person, and get the answer not to do it. So taking is
not beginning, and both sides go through one `Start`:

- `confirm` marks the call as begun in its row, by compare and set, if the row still names this
  attempt. It comes right before the code, in the code's own thread. Whatever has happened to the
  call before, the row knows.
- `begin` succeeds only while that is fresh, and nobody in this process gave the attempt up.
- `give_up` succeeds only while the code has not begun.

What comes between the commit of that compare and set and the code's first instruction is not Kern's
to shorten; nothing of Kern's waits there. If it took long nevertheless, the row is asked again.

Code that nobody waits for any more may still execute; `is_executing` says so, and `on_end` when it
no longer does.
"""

import threading
import time
from collections.abc import Callable

# What the row has said is old after so many seconds, from before it was asked.
_MOMENT = 1.0
# A database that is slower than that so often is no ground to begin anything on.
_MOST_QUESTIONS = 5


class Start:
    """The start of one attempt's code.

    Args:
        confirm: Marks the call as begun if its row names this attempt, in the calling thread, and
            says whether it does; None for code that has no row.
    """

    def __init__(self, confirm: Callable[[], bool] | None = None) -> None:
        self._confirm = confirm
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._has_begun = self._has_ended = False
        self._on_begin: Callable[[], object] = bool
        self._on_end: Callable[[], object] = bool
        self._confirmed_at: tuple[float, float] | None = None
        self._questions = 0

    @property
    def is_confirmed(self) -> bool:
        """Whether the call's row has said just now that the attempt has the call."""
        if self._confirm is None:
            return True
        if self._confirmed_at is None:
            return False
        return all(abs(b - a) <= _MOMENT for a, b in zip(self._confirmed_at, _now(), strict=True))

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
        """Mark the call as begun in its row; if that names this attempt no more, it never begins.

        It waits for the database, so no event loop calls it.
        """
        moment, self._questions = _now(), self._questions + 1
        try:
            is_held = self._may_ask and (self._confirm is None or self._confirm())
        except Exception:  # noqa: BLE001  whoever cannot ask does not begin
            is_held = False
        if not is_held:
            self.give_up()
        self._confirmed_at = moment
        return is_held

    @property
    def _may_ask(self) -> bool:
        return not self._is_abandoned and self._questions <= _MOST_QUESTIONS

    def begin(self) -> bool:
        """Begin the code, right after this returned True; False: it must not.

        `confirm` has returned True, and `is_confirmed` is still so.
        """
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


def _now() -> tuple[float, float]:
    """Return the time of two clocks: one stops with a suspended machine, one may be set."""
    return time.monotonic(), time.time()
