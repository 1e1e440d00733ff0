"""How many decisions one person may make: more is a robot, or a rubber stamp."""

import time
from collections import deque
from collections.abc import Callable

from kern.client.web.problems import ProblemError
from kern.values.principals import Principal

_MOST, _SECONDS = 60, 60.0
# So many people are remembered; who decides rarely costs nothing.
_MOST_PEOPLE = 10_000


class DecisionRate:
    """Counts the decisions of each person in this process in the last minute.

    Args:
        clock: Returns the time in seconds; default: the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[tuple[str, str], deque[float]] = {}

    def count(self, principal: Principal, times: int = 1) -> None:
        """Count one decision, or several that are made at once: all of them or none.

        Raises:
            ProblemError: this person has made too many (429); it says when to try again.
        """
        now = self._clock()
        if len(self._times) >= _MOST_PEOPLE:
            self._forget(now)
        made = self._times.setdefault((principal.issuer, principal.subject), deque())
        while made and now - made[0] >= _SECONDS:
            made.popleft()
        if len(made) + times > _MOST:
            # Until so many of the earliest are forgotten that there is room.
            earliest = made[len(made) + times - _MOST - 1] if made else now
            wait = int(_SECONDS - (now - earliest)) + 1
            detail = (
                f"{principal.name} has made {_MOST} decisions within a minute, which is as many as "
                f"one person may. Nothing was decided. Try again in {wait} s."
            )
            headers, extra = {"Retry-After": str(wait)}, {"retryable": True}
            raise ProblemError(429, "too_many", detail, extra=extra, headers=headers)
        made.extend([now] * times)

    def _forget(self, now: float) -> None:
        self._times = {
            person: times
            for person, times in self._times.items()
            if times and now - times[-1] < _SECONDS
        }
