"""How many things are stuck, for the header of every page: read now and then, not for each page."""

import time
from collections.abc import Callable

from kern.client.service.service import Service
from kern.contracts.viewer import Viewer

_SECONDS = 5.0


class StuckCounts:
    """Counts what is stuck in each tenant, every few seconds at most.

    Args:
        service: What knows.
        clock: Returns the time in seconds; default: the monotonic clock.
    """

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._counts: dict[str | None, tuple[float, int]] = {}

    async def of(self, viewer: Viewer) -> int:
        """Return how many things of the viewer's tenant are stuck."""
        at, count = self._counts.get(viewer.tenant, (-_SECONDS, 0))
        now = self._clock()
        if now - at >= _SECONDS:
            count = (await self._service.stuck.read(viewer)).count
            self._counts[viewer.tenant] = (now, count)
        return count
