"""One run under chosen deaths: who is killed where, what a person says, and how it ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Literal

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from kern.client.processes.services import Services
from kern.client.temporal.workflow_ids import workflow_id
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.stores import store_from_url
from kern.values.ids import new_id
from tests.support.crash_app import build, user_text
from tests.support.crash_person import Person
from tests.support.crash_processes import Child
from tests.support.crash_spec import Kill, Place, Spec, settings_of
from tests.support.crash_state import FINAL, Rows, Snapshot, child_of, look, snapshot
from tests.support.crash_world import World

_PATIENCE = 100.0
_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Case:
    """A conversation, and the points at which its processes die.

    Attributes:
        workers: Where the first worker dies, then the second, and so on; the last one lives.
        accept: Where the client that accepts the run dies; None for one that lives.
        resolve: Where the client that submits the first decision dies.
        cancel: Where the client that cancels the paused run dies; "" for one that lives.
        stalled: Whether the model answers only after the first death.
        behind: How many runs wait in the session for this one to move on.
        summarises: Whether the session is summed up after the run.
        led: Whether the run is a member's, inside a team's.
        piped: Whether the run is a step's, inside a pipeline's.
    """

    scenario: str
    workers: tuple[Kill, ...] = ()
    accept: str | None = None
    resolve: str | None = None
    cancel: str | None = None
    verdict: Literal["approve", "reject"] = "approve"
    stalled: bool = False
    behind: int = 0
    summarises: bool = False
    led: bool = False
    piped: bool = False

    @property
    def is_inside(self) -> bool:
        """Whether the run is inside another one."""
        return self.led or self.piped

    @property
    def name(self) -> str:
        """What the test is called."""
        clients = {"accept": self.accept, "resolve": self.resolve, "cancel": self.cancel}
        dead = [f"{kill.point}.{kill.occurrence}" for kill in self.workers]
        said: list[str] = [self.verdict] if self.verdict == "reject" else []
        said += [f"{self.behind}-behind"] if self.behind else []
        said += ["summary"] if self.summarises else []
        said += ["led"] if self.led else []
        said += ["piped"] if self.piped else []
        told = [f"{who}-{point}" for who, point in clients.items() if point is not None]
        return "-".join([self.scenario, *said, *told, *dead])


class Other:
    """Another run of the case: one that waits for its turn behind the first, or its team's."""

    def __init__(self, run_id: str, text: str) -> None:
        self.id, self.text = run_id, text
        self.deaths: list[Snapshot] = []
        self.last = Snapshot(Rows(), Counter(), [])


class CaseRun:
    """A case that is being played."""

    def __init__(self, world: World, case: Case, folder: Path, url: str) -> None:
        self.case, self.world, self.folder = case, world, folder
        self.id = new_id()
        self.text = user_text(self.id, case.scenario)
        self.said = user_text(self.id, f"lead-{case.scenario}") if case.led else self.text
        self.place = Place(
            component=f"crash-{self.id}",
            database_url=url,
            home=str(folder),
            address=world.server.address,
            model_url=world.models.base_url,
            ledger=str(folder / "ledger"),
            summarises=case.summarises,
            led=case.led,
            piped=case.piped,
        )
        ids = [new_id() for _ in range(case.behind)]
        self.followers = [Other(one, user_text(one, "plain")) for one in ids]
        self.leaders = [Other(self.id, self.said)] if case.is_inside else []
        self.deaths: list[Snapshot] = []
        self._session_id = new_id() if case.behind else None
        self._db = store_from_url(url)
        services = Services(settings_of(self.place), self._db, world.temporal, None)
        self._services = services
        self.person = Person(services, Path(self.place.ledger), case.verdict)
        self._worker: Child | None = None
        self._all_died = asyncio.Event()

    @property
    def others(self) -> list[Other]:
        """The runs of the case beside the one that it is about."""
        return [*self.leaders, *self.followers]

    async def play(self) -> Snapshot:
        """Play the case to its end; return what is left then."""
        supervisor = asyncio.create_task(self._supervise())
        story = asyncio.create_task(self._tell())
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.wait({supervisor, story}, return_when=asyncio.FIRST_COMPLETED)
                if supervisor.done():
                    await supervisor
                return await story
        finally:
            for task in (supervisor, story):
                task.cancel()
            await asyncio.gather(supervisor, story, return_exceptions=True)
            if self._worker is not None:
                await self._worker.kill()
            await self._services.courier.close()
            self._db.close()

    async def _supervise(self) -> None:
        """Have workers die one after another; the one that comes after them must live."""
        stall = self.world.models.stall(self.text) if self.case.stalled else None
        for kill in self.case.workers:
            self._worker = self._fork("worker", kill)
            self.deaths.append(await self._dies(self._worker))
            for one in self.others:
                one.deaths.append(await self._look(one.id, one.text))
            if stall is not None:
                stall.release()
        self._all_died.set()
        self._worker = self._fork("worker", None)
        code = await self._worker.ended()
        raise AssertionError(f"the worker ended by itself with {code}: {self._worker.story}")

    async def _dies(self, child: Child) -> Snapshot:
        """Wait until it was killed, and take down what it left."""
        assert await child.ended() == -SIGKILL, child.story
        return await self._look_at_run()

    async def _look_at_run(self) -> Snapshot:
        """Take down the run that the case is about: the agent's, where it is inside another."""
        run_id: str | None = self.id
        if self.case.is_inside:
            run_id = await self._db.read(partial(child_of, run_id=self.id))
        return await self._look(run_id or "", self.text)

    async def _look(self, run_id: str, text: str) -> Snapshot:
        return await snapshot(self._db, self.world.models, run_id, text, Path(self.place.ledger))

    async def _tell(self) -> Snapshot:
        stall = self.world.models.stall(self.text) if self.followers else None
        await self._accept()
        await self._queue_up()
        if stall is not None:
            stall.release()
        await self._until(self._has_ended, "the run ends")
        await self._until(self._have_followed, "the runs behind it end")
        await self._until(self._is_quiet, "everything is delivered and every worker has died")
        await self._until(self._is_closed, "the workflow closes")
        for one in self.others:
            one.last = await self._look(one.id, one.text)
        return await self._look_at_run()

    async def _queue_up(self) -> None:
        for one in self.followers:
            request = RunRequest(
                component_id=self.place.component,
                input=one.text,
                run_id=one.id,
                session_id=self._session_id,
            )
            await self._services.service.runs.accept(Viewer(None), build(self.place), request)

    async def _have_followed(self) -> bool:
        found = [await self._db.read(partial(look, run_id=one.id)) for one in self.followers]
        return all(status in FINAL for status, _, _ in found)

    async def _accept(self) -> None:
        if self.case.accept is not None:
            left = await self._dies(self._fork("accept", Kill(point=self.case.accept)))
            if left.rows.run is not None:
                return
        request = RunRequest(
            component_id=self.place.component,
            input=self.said,
            run_id=self.id,
            session_id=self._session_id,
        )
        await self._services.service.runs.accept(Viewer(None), build(self.place), request)

    async def _has_ended(self) -> bool:
        status, waiting, _ = await self._db.read(lambda tx: look(tx, self.id))
        assert status is not None, "what was accepted is gone"
        if status in FINAL:
            return True
        if self.case.cancel is not None:
            if status == "paused":
                await self._cancel()
            return False
        if self.case.is_inside and status != "paused":
            # What the outer run's pause is about has to happen before it is over.
            return False
        for row in waiting:
            await self.decide(row)
        return False

    async def decide(self, row: RequirementRow) -> None:
        """Say what the case has people say, with a client that dies if it is to."""
        if self.case.resolve is not None and not self.person.acknowledged:
            left = await self._dies(self._fork("resolve", Kill(point=self.case.resolve), row.id))
            if any(one.requirement_id == row.id for one in left.rows.decisions):
                self.person.acknowledged.append((row.id, self.case.verdict, "dana"))
                return
        await self.person.decide(row)

    async def _cancel(self) -> None:
        if self.case.cancel:
            left = await self._dies(self._fork("cancel", Kill(point=self.case.cancel)))
            run = left.rows.run
            if run is not None and run.status == "cancelled":
                return
        await self._services.service.runs.cancel(OPERATOR, self.id)

    async def _is_quiet(self) -> bool:
        ids = [self.id, *(one.id for one in self.followers)]
        found = [await self._db.read(partial(look, run_id=one)) for one in ids]
        return self._all_died.is_set() and not any(undelivered for _, _, undelivered in found)

    async def _is_closed(self) -> bool:
        try:
            name = await workflow_id(self._db, self.id)
            described = await self.world.temporal.get_workflow_handle(name).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            # Cancelled before it was started.
            return self.case.cancel is not None
        completed = WorkflowExecutionStatus.COMPLETED
        wanted = {completed}
        if self.case.cancel is not None:
            wanted = {WorkflowExecutionStatus.CANCELED}
            if self.case.is_inside:
                # The member's may hear of it first, and the team's then finds its row cancelled.
                wanted.add(completed)
        return described.status in wanted

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            while not await condition():  # noqa: ASYNC110  other processes set no event
                await asyncio.sleep(_POLL_SECONDS)
        except asyncio.CancelledError as error:
            told = self._worker.story if self._worker is not None else ""
            raise AssertionError(f"not in time: {what}; the last worker said:\n{told}") from error

    def _fork(
        self,
        role: Literal["worker", "accept", "resolve", "cancel"],
        kill: Kill | None,
        requirement_id: str = "",
    ) -> Child:
        return self.world.fork(self.spec(role, kill, requirement_id))

    def spec(
        self,
        role: Literal["worker", "accept", "resolve", "cancel"],
        kill: Kill | None = None,
        requirement_id: str = "",
    ) -> Spec:
        """Describe a process that has to do with this run."""
        return Spec(
            role=role,
            place=self.place,
            log=str(self.folder / f"{role}.log"),
            kill=kill,
            run_id=self.id,
            text=self.said,
            requirement_id=requirement_id,
            verdict=self.case.verdict,
            by="dana",
        )
