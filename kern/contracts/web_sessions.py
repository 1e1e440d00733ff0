"""Sessions of people who have signed in with a browser."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kern.contracts.caller import Caller

# That a session was used is noted so often, not at each request.
_USE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class WebSession:
    """Somebody's session, when it began, and when its use was last noted (UTC)."""

    caller: Caller
    created_at: datetime
    used_at: datetime

    def was_used_before(self, now: datetime) -> bool:
        """Whether its last use was noted so long ago that this one has to be."""
        return now - self.used_at >= _USE_EVERY
