"""Runs, deciders and disasters, all at once, for a while; then all comes to its end."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from kern.client.processes.services import Services
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.errors import Conflict, Unavailable
from kern.values.ids import new_id
from tests.support.crash_state import FINAL, look
from tests.support.model_server import Failure, ModelServer
from tests.support.processes import WorkerProcess
from tests.support.storm.app import SCENARIOS, declare, user_text
from tests.support.storm.bank import Bank
from tests.support.storm.parts import HEARTBEAT_SECONDS, Parts
from tests.support.storm.people import People

Result = TypeVar("Result")

_OPEN_AT_ONCE = 10
_DECIDERS = 3
# The present version twice, and the one before there were gates.
_VERSIONS = (True, True, False)
# A worker that is frozen for longer than its lease cannot be told from a dead one.
_LONGEST_FREEZE = HEARTBEAT_SECONDS * 1.6
_FAILURES = (
    Failure(drop=True),
    Failure(status=500, body="broken"),
    Failure(status=429, headers={"retry-after": "1"}, body={"error": {"message": "slow down"}}),
    Failure(status=503, body="away"),
)


@dataclass
class Report:
    """What came of a storm."""

    runs: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    disasters: Counter[str] = field(default_factory=Counter)
    exits: list[str] = field(default_factory=list)


class Storm:
    """One storm over the parts."""

    def __init__(
        self, parts: Parts, services: Services, bank: Bank, models: ModelServer, seed: int
    ) -> None:
        self.report = Report()
        self.people = People(services, bank, seed)
        self._parts, self._services, self._bank, self._models = parts, services, bank, models
        self._components = declare(gated=True, bank=bank.address, models=models.base_url)
        self._random = random.Random(seed)  # noqa: S311  a storm is repeated by its seed
        self._is_over = asyncio.Event()
        self._seed = seed
        self._starting = asyncio.Lock()
        self._failing_from = 1
        # One disaster of a server at a time, so that each is noticed.
        self._server = asyncio.Lock()

    async def rage(self, seconds: float, patience: float) -> None:
        """Rage, then wait until every run has ended.

        Raises:
            TimeoutError: some run never ends.
        """
        async with asyncio.TaskGroup() as group:
            lasting = [
                *(group.create_task(self._keep_worker(gated)) for gated in _VERSIONS),
                *(group.create_task(self._decide()) for _ in range(_DECIDERS)),
            ]
            async with asyncio.TaskGroup() as raging:
                for work in (
                    self._submit(),
                    self._every(4, 12, self._crash_postgres, self._only_read),
                    self._every(4, 12, self._crash_temporal, self._restore_temporal),
                    self._every(2, 2, self._copy_temporal),
                    self._every(0.2, 1.0, self._fail_model),
                ):
                    raging.create_task(work)
                await asyncio.sleep(seconds)
                self._is_over.set()
                self._bank.is_calm = True
            async with asyncio.timeout(patience):
                while await self._open_runs():  # noqa: ASYNC110  other processes set no event
                    await asyncio.sleep(0.5)
            for task in lasting:
                task.cancel()

    async def _every(
        self, least: float, most: float, *disasters: Callable[[], Awaitable[None]]
    ) -> None:
        while not await self._is_over_within(self._random.uniform(least, most)):
            await self._random.choice(disasters)()

    async def _is_over_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), seconds)
        return self._is_over.is_set()

    async def _submit(self) -> None:
        gate = asyncio.Semaphore(_OPEN_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while not self._is_over.is_set():
                await gate.acquire()
                group.create_task(self._live()).add_done_callback(lambda _: gate.release())

    async def _live(self) -> None:
        """Have a run accepted, perhaps cancelled, and wait for its end while the storm lasts."""
        run_id, scenario = new_id(), self._random.choice([*(set(SCENARIOS) - {"team"}), "lead"])
        component = self._components[scenario]
        # Some go through one of a few sessions, and wait for each other.
        session = f"{component.id}-{self._random.randrange(3)}-{self._seed}"
        session_id = session if self._random.random() < 0.2 else None
        request = RunRequest(
            component_id=component.id,
            input=user_text(run_id, scenario, self._random.randint(100, 999)),
            run_id=run_id,
            session_id=session_id,
        )
        runs = self._services.service.runs
        await self._insist(partial(runs.accept, Viewer(None), component, request))
        self.report.runs[run_id] = "accepted"
        if self._random.random() < 0.05:
            await self._is_over_within(self._random.uniform(0, 3))
            with suppress(Conflict):
                await self._insist(partial(runs.cancel, Viewer(None), run_id))
                self.report.cancelled.add(run_id)
        while not await self._has_ended(run_id):
            if await self._is_over_within(0.3):
                return

    async def _has_ended(self, run_id: str) -> bool:
        try:
            status, waiting, undelivered = await self._services.db.read(lambda tx: look(tx, run_id))
        except Unavailable:
            return False
        assert status is not None, f"run {run_id} was accepted and is gone"
        self.report.runs[run_id] = status
        return status in FINAL and not waiting and not undelivered

    async def _open_runs(self) -> list[str]:
        """Return the runs that have not ended; also their last known status is noted."""
        return [
            run_id
            for run_id, status in self.report.runs.items()
            if status not in FINAL and not await self._has_ended(run_id)
        ]

    async def _decide(self) -> None:
        while True:
            await self.people.decide_something()
            await asyncio.sleep(self._random.uniform(0.02, 0.3))

    async def _keep_worker(self, gated: bool) -> None:  # noqa: FBT001  which version it is
        """Have one worker after another, each of which is frozen or killed sooner or later."""
        while True:
            async with self._starting:
                worker = await asyncio.to_thread(self._parts.worker, gated=gated)
            while worker.process.poll() is None:
                if await self._is_over_within(self._random.uniform(1.5, 8)):
                    await asyncio.sleep(0.5)
                    continue
                await self._strike(worker)
            self._note_exit(worker)

    async def _strike(self, worker: WorkerProcess) -> None:
        if self._random.random() < 0.5:
            self.report.disasters["worker killed"] += 1
            await asyncio.to_thread(worker.kill)
            return
        self.report.disasters["worker frozen"] += 1
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(0.2, _LONGEST_FREEZE))
        worker.signal(signal.SIGCONT)

    def _note_exit(self, worker: WorkerProcess) -> None:
        code = worker.process.poll()
        if code != -signal.SIGKILL:
            self.report.exits.append(f"{worker.log.name} ended with {code}")

    async def _crash_postgres(self) -> None:
        async with self._server:
            self.report.disasters["postgres killed"] += 1
            await asyncio.to_thread(self._parts.database.crash)

    async def _only_read(self) -> None:
        async with self._server:
            self.report.disasters["postgres read-only"] += 1
            await asyncio.to_thread(partial(self._parts.database.only_read, only=True))
            await asyncio.sleep(self._random.uniform(0.5, 4))
            await asyncio.to_thread(partial(self._parts.database.only_read, only=False))

    async def _crash_temporal(self) -> None:
        async with self._server:
            self.report.disasters["temporal killed"] += 1
            await asyncio.to_thread(self._parts.temporal.crash)

    async def _restore_temporal(self) -> None:
        async with self._server:
            self.report.disasters["temporal restored"] += 1
            await asyncio.to_thread(self._parts.temporal.restore)

    async def _copy_temporal(self) -> None:
        async with self._server:
            await asyncio.to_thread(self._parts.temporal.copy)

    async def _fail_model(self) -> None:
        """Have the next request fail, once enough others have been answered."""
        asked = len(self._models.requests)
        if asked >= self._failing_from:
            self._failing_from = asked + self._random.randint(2, 12)
            self._models.fail(self._random.choice(_FAILURES))

    async def _insist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Repeat what the database could not take: under the same id that is safe."""
        while True:
            try:
                return await work()
            except Unavailable:
                await asyncio.sleep(0.2)
