"""Reports that this process executes runs, and under which policies: `kern doctor` compares."""

import asyncio
import contextlib
import os
import socket
from datetime import UTC, datetime

from kern.components.component import definition_of
from kern.components.policies import policy_of
from kern.components.registry import Registry
from kern.db.engine.store import Store
from kern.db.runs import workers
from kern.db.runs.workers import WorkerIdentity
from kern.process.logs import get_logger
from kern.values.ids import new_id

_log = get_logger("kern.worker")


class Presence:
    """The row of one worker process: one statement each beat, however many components it has."""

    def __init__(self, db: Store, registry: Registry) -> None:
        self._db = db
        self._registry = registry
        self._worker = WorkerIdentity(new_id(), socket.gethostname(), os.getpid(), _now())
        self._changed = asyncio.Event()
        self._is_reported = False

    def changed(self) -> None:
        """Report at once: the process has further components."""
        self._changed.set()

    async def run(self) -> None:
        """Report until cancelled, also while the database is away."""
        while True:
            self._changed.clear()
            try:
                await self._beat()
            except Exception as error:  # noqa: BLE001  a worker works without it
                self._is_reported = False
                _log.warning("presence_not_reported", why=f"{type(error).__name__}: {error}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), workers.BEAT_SECONDS)

    async def leave(self) -> None:
        """Take the report back, since the process stops."""
        if not self._is_reported:
            # Where the database is away, the end of a process must not wait for it.
            return
        with contextlib.suppress(Exception):
            await self._db.write(lambda tx: workers.leave(tx, self._worker.id))

    async def _beat(self) -> None:
        components = {name: self._registry.get(name) for name in self._registry.ids}
        if not components:
            return
        worker_policy = {name: policy_of(component) for name, component in components.items()}
        states = {
            name: state
            for name, component in components.items()
            if (state := definition_of(component).initial_state)
        }
        self._is_reported = True
        await self._db.write(
            lambda tx: workers.beat(tx, self._worker, worker_policy, _now(), states)
        )


def _now() -> datetime:
    return datetime.now(UTC)
