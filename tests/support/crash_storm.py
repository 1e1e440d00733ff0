"""Many runs at once while workers, the Temporal server and Postgres are killed at random."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Literal, TypeVar

from temporalio.client import WorkflowExecutionStatus

from kern.client.processes.services import Services
from kern.client.temporal.workflow_ids import workflow_id
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.stores import store_from_url
from kern.db.journal.verification import verify
from kern.errors import Unavailable
from kern.values.ids import new_id
from tests.support.crash_app import SCRIPTS, build, user_text
from tests.support.crash_person import Person
from tests.support.crash_processes import Child
from tests.support.crash_spec import ANY_POINT, Kill, Place, Spec, settings_of
from tests.support.crash_state import FINAL, Snapshot, look, snapshot
from tests.support.crash_world import World
from tests.support.postgres import Postgres

Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_PATIENCE = 120.0
_OPEN_AT_ONCE = 6
# One that is in doubt by its timeout already, and one for which it takes a team.
_SCENARIOS = sorted(set(SCRIPTS) - {"slow", "lead-once"})


@dataclass(frozen=True)
class Plan:
    """How much of a storm there is.

    Attributes:
        slots: How many workers live at once.
        server_deaths: How often the Temporal server is killed.
        postgres_deaths: How often Postgres is killed.
    """

    seed: int
    runs: int
    kills: int
    slots: int = 2
    server_deaths: int = 1
    postgres_deaths: int = 0


@dataclass
class StormRun:
    """One of the runs, and what is known of it."""

    id: str
    text: str
    person: Person
    deaths: list[Snapshot] = field(default_factory=list)
    last: Snapshot | None = None


class Storm:
    """A plan that is carried out on one database."""

    def __init__(
        self, world: World, plan: Plan, folder: Path, url: str, postgres: Postgres | None = None
    ) -> None:
        self.runs: list[StormRun] = []
        self.kills = 0
        self._world, self._plan, self._folder, self._postgres = world, plan, folder, postgres
        self._random = random.Random(plan.seed)  # noqa: S311  a storm is repeated by its seed
        self._open: dict[str, StormRun] = {}
        self._births: dict[int, datetime] = {}
        self._workers: list[Child] = []
        self._place = Place(
            component=f"storm-{new_id()}",
            database_url=url,
            home=str(world.home),
            address=None,
            model_url=world.models.base_url,
            ledger=str(folder / "ledger"),
        )
        settings = settings_of(self._place)
        self._services = Services(settings, store_from_url(url), world.temporal, None)

    async def rage(self) -> None:
        """Kill as often as planned while runs are made, then let the rest come to its end."""
        tasks = [asyncio.create_task(self._submit())]
        killers = [
            *(asyncio.create_task(self._slot(slot)) for slot in range(self._plan.slots)),
            asyncio.create_task(self._kill_server()),
            asyncio.create_task(self._kill_postgres()),
        ]
        try:
            async with asyncio.timeout(_PATIENCE + self._plan.kills * 3):
                await asyncio.gather(*killers)
                survivors = [asyncio.create_task(self._survive()) for _ in range(2)]
                tasks += survivors
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for ended in (task for task in tasks if task.done()):
                    ended.result()
        finally:
            for task in (*tasks, *killers):
                task.cancel()
            await asyncio.gather(*tasks, *killers, return_exceptions=True)
            await asyncio.gather(*(child.kill() for child in self._workers))
            await self._services.courier.close()

    async def check_chain(self) -> int:
        """Verify the chain of decisions; return how many there are."""
        return (await self._services.db.read(verify)).decisions

    def close(self) -> None:
        """Let go of the database."""
        self._services.db.close()

    async def _submit(self) -> None:
        gate = asyncio.Semaphore(_OPEN_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            # New runs are made for as long as somebody dies.
            while len(self.runs) < self._plan.runs or self.kills < self._plan.kills:
                await gate.acquire()
                group.create_task(self._live(self._new_run())).add_done_callback(
                    lambda _: gate.release()
                )

    def _new_run(self) -> StormRun:
        run_id, scenario = new_id(), self._random.choice(_SCENARIOS)
        verdict: Literal["approve", "reject"] = (
            "reject" if self._random.random() < 0.2 else "approve"
        )
        ledger = Path(self._place.ledger)
        run = StormRun(run_id, user_text(run_id, scenario), Person(self._services, ledger, verdict))
        self.runs.append(run)
        return run

    async def _live(self, run: StormRun) -> None:
        request = RunRequest(component_id=self._place.component, input=run.text, run_id=run.id)
        await self._insist(
            lambda: self._services.service.runs.accept(Viewer(None), build(self._place), request)
        )
        self._open[run.id] = run
        while not await self._has_ended(run):  # noqa: ASYNC110  other processes set no event
            await asyncio.sleep(_POLL_SECONDS)
        del self._open[run.id]
        run.last = await self._insist(partial(self._snapshot, run))

    async def _has_ended(self, run: StormRun) -> bool:
        try:
            status, waiting, undelivered = await self._services.db.read(lambda tx: look(tx, run.id))
            assert status is not None, f"run {run.id} was accepted and is gone"
            for row in waiting:
                if row.kind == "unknown_outcome" and await self._may_live(run, row):
                    continue
                await run.person.decide(row)
            return status in FINAL and not undelivered and await self._is_closed(run)
        except Unavailable:
            return False

    async def _may_live(self, run: StormRun, row: RequirementRow) -> bool:
        """Whether a worker lives that may be in the call, so that nobody can say what it did."""
        began = await run.person.began(row)
        return any(birth <= began for birth in self._births.values())

    async def _is_closed(self, run: StormRun) -> bool:
        name = await workflow_id(self._services.db, run.id)
        described = await self._world.temporal.get_workflow_handle(name).describe()
        return described.status is WorkflowExecutionStatus.COMPLETED

    async def _slot(self, slot: int) -> None:
        """Have one worker after another die, at a random point or a random moment."""
        dice = random.Random(f"{self._plan.seed}-{slot}")  # noqa: S311  as above
        while self.kills < self._plan.kills:
            self.kills += 1
            child = self._fork(Kill(point=ANY_POINT, occurrence=dice.randint(1, 150)))
            try:
                await asyncio.wait_for(child.ended(), dice.uniform(0.3, 3.0))
            except TimeoutError:
                await child.kill()
            self._bury(child, await child.ended())
            await self._take_down()

    async def _survive(self) -> None:
        """Be a worker that nobody kills; one that does not find its database is started again."""
        while True:
            child = self._fork(None)
            self._bury(child, await child.ended())

    async def _kill_server(self) -> None:
        for death in range(self._plan.server_deaths):
            await self._after(death, self._plan.server_deaths)
            await asyncio.to_thread(self._world.crash_server)
            await self._take_down()

    async def _kill_postgres(self) -> None:
        for death in range(self._plan.postgres_deaths):
            await self._after(death, self._plan.postgres_deaths)
            assert self._postgres is not None
            await asyncio.to_thread(self._postgres.kill)
            await asyncio.to_thread(self._postgres.restart)
            await self._take_down()

    async def _after(self, death: int, of: int) -> None:
        """Wait for a share of the kills, so that deaths of different kinds meet."""
        while self.kills * (of + 1) < self._plan.kills * (death + 1):  # noqa: ASYNC110  as above
            await asyncio.sleep(_POLL_SECONDS)

    async def _take_down(self) -> None:
        """Take down what a death left of the runs that are open."""
        for run in list(self._open.values()):
            run.deaths.append(await self._insist(partial(self._snapshot, run)))

    async def _snapshot(self, run: StormRun) -> Snapshot:
        ledger = Path(self._place.ledger)
        return await snapshot(self._services.db, self._world.models, run.id, run.text, ledger)

    async def _insist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Repeat what fails because the database is away: that is safe, says the error."""
        while True:
            try:
                return await work()
            except Unavailable:
                await asyncio.sleep(_POLL_SECONDS)

    def _fork(self, kill: Kill | None) -> Child:
        log = str(self._folder / f"worker-{len(self._workers)}.log")
        child = self._world.fork(Spec(role="worker", place=self._place, log=log, kill=kill))
        self._workers.append(child)
        self._births[id(child)] = datetime.now(UTC)
        return child

    def _bury(self, child: Child, code: int) -> None:
        del self._births[id(child)]
        away = self._plan.postgres_deaths > 0 and "kern.errors.Unavailable" in child.story
        assert code == -SIGKILL or away, f"a worker ended by itself with {code}: {child.story}"
