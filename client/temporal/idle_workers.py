"""Finds workers that nobody needs: of components that the program has dropped, with nothing to do.

A program may declare an agent for each request. Its worker ends some time after the agent is gone,
and starts again when the same declaration is made again. A run that is active keeps its worker, and
so does one with a deadline or a reminder to come. One that only waits for people does not: it waits
for a worker when they have decided.
"""

import time
from collections.abc import Callable, Sequence

from kern.components.component import Component
from kern.components.registry import Registry
from kern.db.engine.store import Store
from kern.db.runs.awaited_workers import active_components
from kern.errors import KernError

# The same declaration is often made again soon.
_IDLE_SECONDS = 30.0
# Beyond so many orphans, the oldest go as soon as they have done nothing for a short while, in
# which a workflow that has just ended closes.
_MOST_ORPHANS = 16
_SHORT_SECONDS = 2.0
# So many end at once.
_BATCH = 20
# So long nothing is asked again about a component that has a run under way.
_ASK_AGAIN_SECONDS = 5.0


class IdleWorkers:
    """Finds the workers of one process that may end.

    Args:
        db: Where the runs are.
        registry: The components.
        idle_seconds: Returns for how long a component's worker has executed nothing.
    """

    def __init__(self, db: Store, registry: Registry, idle_seconds: Callable[[str], float]) -> None:
        self._db = db
        self._registry = registry
        self._idle_seconds = idle_seconds
        # Until when a component is taken to have a run under way, by its id.
        self._active: dict[str, float] = {}

    async def unneeded(self) -> list[Component]:
        """Return some of the components whose workers may end."""
        now = time.monotonic()
        self._active = {name: until for name, until in self._active.items() if until > now}
        idle = self._idle(now)
        if not idle:
            return []
        active = await self._read_active([component.id for component in idle])
        self._active |= dict.fromkeys(active, now + _ASK_AGAIN_SECONDS)
        return [component for component in idle if component.id not in active]

    async def has_active_runs(self, component: Component) -> bool:
        """Whether a run of this component is under way; True if the database cannot say."""
        try:
            return component.id in await self._read_active([component.id])
        except KernError:
            return True

    def _idle(self, now: float) -> list[Component]:
        orphans = [
            orphan for orphan in self._registry.orphans() if orphan.component.id not in self._active
        ]
        idle: list[Component] = []
        for index, orphan in enumerate(orphans):
            is_beyond = len(orphans) - index > _MOST_ORPHANS
            idle_for = min(now - orphan.since, self._idle_seconds(orphan.component.id))
            if idle_for >= (_SHORT_SECONDS if is_beyond else _IDLE_SECONDS):
                idle.append(orphan.component)
        return idle[:_BATCH]

    async def _read_active(self, component_ids: Sequence[str]) -> set[str]:
        return await self._db.read(lambda tx: active_components(tx, component_ids))
