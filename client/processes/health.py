"""The health of a worker: whether its parts answer, and what runs wait for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from temporalio.client import Client

from kern.client.temporal.workers import ComponentWorkers
from kern.contracts.reports import AwaitedWorker
from kern.db.engine.store import Store
from kern.db.runs.awaited_workers import awaited_workers
from kern.errors import KernError
from kern.process.clock import utc_now
from kern.process.logs import get_logger

_log = get_logger("kern.health")

_PROBE_SECONDS = 2.0
_OK = "ok"
# So often a probe reads what runs wait for, and shows so many of them.
_LOOK_SECONDS = 5.0
_MOST_WAITING = 20


class _Probe:
    """Asks one part, one request at a time, so that a dead part occupies at most one thread."""

    def __init__(self, part: str, ask: Callable[[], Awaitable[object]]) -> None:
        self._part = part
        self._ask = ask
        self._asking: asyncio.Future[object] | None = None
        self._answer = _OK

    async def answer(self) -> str:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        await asyncio.wait({self._asking}, timeout=_PROBE_SECONDS)
        error: BaseException | None = TimeoutError(f"no answer within {_PROBE_SECONDS:g} s")
        if self._asking.done():
            error = self._asking.exception()
        answer = _OK if error is None else "does not answer"
        if answer != self._answer:
            level = _log.info if error is None else _log.warning
            level("readiness_changed", part=self._part, now=answer, why=str(error or "").strip())
        self._answer = answer
        return answer


class _Awaited:
    """What active runs wait for that no worker has, as it was seconds ago at most."""

    def __init__(self, db: Store) -> None:
        self._db = db
        self._looked_at = -_LOOK_SECONDS
        self.items: list[AwaitedWorker] = []

    async def look(self) -> None:
        """Read it again if it is too old, and the database answers."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        with suppress(KernError, TimeoutError):
            self.items = await asyncio.wait_for(
                self._db.read(lambda tx: awaited_workers(tx, utc_now())), _PROBE_SECONDS
            )


class Health:
    """The state of a worker's parts; it contains no addresses and no secrets."""

    def __init__(self) -> None:
        self.workers: ComponentWorkers | None = None
        self.stopping = False
        self._probes: dict[str, _Probe] = {}
        self._awaited: _Awaited | None = None

    def watch_database(self, db: Store) -> None:
        """Report the state of this database from now on."""
        self._probes["database"] = _Probe("database", lambda: asyncio.to_thread(_ask, db))
        self._awaited = _Awaited(db)

    def watch_temporal(self, client: Client) -> None:
        """Report the state of this Temporal from now on."""

        async def ask() -> None:
            await client.service_client.check_health(timeout=timedelta(seconds=_PROBE_SECONDS))

        self._probes["temporal"] = _Probe("temporal", ask)

    async def parts(self) -> dict[str, str]:
        """Return the state of each part: `ok`, or a word on what is wrong."""
        answers = await asyncio.gather(*(probe.answer() for probe in self._probes.values()))
        states = dict.fromkeys(("database", "temporal"), "not connected yet")
        states |= dict(zip(self._probes, answers, strict=True))
        return {**states, "workers": self._workers_state(), **self._blocked()}

    async def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Return whether the worker can work, and the states of its parts."""
        parts = await self.parts()
        if any(state != _OK for state in parts.values()):
            return False, parts
        waiting = await self.waiting()
        return True, {**parts, "waiting": waiting} if waiting else parts

    async def waiting(self) -> list[str]:
        """Return what active runs wait for that no worker has; nothing while nobody can say.

        That is no fault of this worker, which stays ready.
        """
        if self._awaited is None:
            return []
        await self._awaited.look()
        return [_waiting_text(item) for item in self._awaited.items[:_MOST_WAITING]]

    def _blocked(self) -> dict[str, str]:
        """Return `tools` or `models` with the reason, if nothing more of it can be executed."""
        return {} if self.workers is None else self.workers.blocked()

    def _workers_state(self) -> str:
        if self.stopping:
            return "stopping"
        if self.workers is None:
            return "not started yet"
        return _OK if self.workers.is_running else "ended"


def _waiting_text(item: AwaitedWorker) -> str:
    since = f"{item.since:%Y-%m-%dT%H:%M:%SZ}"
    return f"run {item.run_id} waits for a worker that has {item.missing} since {since}"


def _ask(db: Store) -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
