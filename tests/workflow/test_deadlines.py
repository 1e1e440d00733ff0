"""Deadlines of days, with Temporal's time skipped: the timer only asks, and the row decides."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from kern.activities.endings import Endings
from kern.activities.executions import Executions
from kern.activities.model_turn import ModelTurn
from kern.activities.tool_call import ToolCalls
from kern.agent import Agent
from kern.client.server.start import find_binary
from kern.client.temporal.connection import KernPlugin
from kern.components.registry import Registry
from kern.contracts.messages import Resolved, RunCursor, Stop, StopQuery
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.db.reading import run_outputs
from kern.db.runs import accepting
from kern.errors import AlreadyResolved
from kern.models.scripted import Call, ScriptedModel
from kern.requirements import submitted_digest
from kern.run import RunOutput
from kern.tools import Approval, tool
from kern.values.ids import new_id
from kern.values.states import OnExpiry, RunStatus
from tests.support.agents import Ledger
from tests.support.templates import sqlite_with_tables

DUE = timedelta(days=30)
QUEUE = "deadlines"


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The real server, with a clock of its own for each workflow."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(find_binary()),
        dev_server_extra_args=[
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
        ],
        plugins=[KernPlugin()],
    )
    async with environment:
        yield environment


class Story:
    """One run with a gated payment, on a database and a clock that the test holds."""

    def __init__(self, environment: WorkflowEnvironment, folder: Path, on_expiry: OnExpiry) -> None:
        self.ledger = Ledger(folder / "ledger")
        self.now = datetime.now(UTC)
        self.run_id = new_id()
        self._environment = environment
        self.db = sqlite_with_tables(folder / "kern.db")
        self._registry = Registry()
        self._agent = self._payer(on_expiry)
        self._registry.register(self._agent)

    def _payer(self, on_expiry: OnExpiry) -> Agent:
        @tool(requires_confirmation=True, approval=Approval(due=DUE, on_expiry=on_expiry))
        def pay() -> str:
            """Pay."""
            self.ledger.add("paid")
            return "paid"

        return Agent(id="payer", model=ScriptedModel([Call("pay"), "Done."]), tools=[pay])

    def worker(self) -> Worker:
        """Return a worker that executes the story's run."""
        endings = Endings(self.db, clock=lambda: self.now)
        return Worker(
            self._environment.client,
            task_queue=QUEUE,
            activities=[
                ModelTurn(self.db, self._registry, 3, self.db.broadcaster).model_turn,
                ToolCalls(self.db, self._registry, Executions(self.db)).tool_call,
                endings.expire,
                endings.close_run,
            ],
        )

    async def start(self) -> WorkflowHandle[object, None]:
        """Accept the run and start its workflow."""
        request = RunRequest(component_id="payer", input="Pay")
        self.db.write_now(
            lambda tx: accepting.accept(
                tx,
                request,
                component_kind="agent",
                initial_state={},
                now=self.now,
                run_id=self.run_id,
                session_id=new_id(),
            )
        )
        return await self._environment.client.start_workflow(
            "AgentRun", RunCursor(run_id=self.run_id), id=self.run_id, task_queue=QUEUE
        )

    def decide(self, by: str = "dana") -> str:
        """Approve in SQL, as if Temporal could not be told; return the requirement's id."""
        requirement = self.output.requirements[0].confirm(by=by)
        draft = requirement.draft
        assert draft is not None
        submission = Submission(requirement.id, submitted_digest(requirement), draft, by)
        self.db.write_now(lambda tx: deciding.resolve(tx, submission, OPERATOR, self.now))
        return requirement.id

    @property
    def output(self) -> RunOutput:
        """The run as its rows stand."""
        return self.db.read_now(lambda tx: run_outputs.run_output(tx, self.run_id, OPERATOR))


async def stops(handle: WorkflowHandle[object, None]) -> None:
    await handle.execute_update("wait_for_stop", StopQuery(), result_type=Stop)


@pytest.mark.parametrize("on_expiry", list(OnExpiry))
async def test_after_thirty_days_silence_means_what_the_author_wrote(
    skipping: WorkflowEnvironment, tmp_path: Path, on_expiry: OnExpiry
) -> None:
    story = Story(skipping, tmp_path, on_expiry)
    async with story.worker():
        handle = await story.start()
        story.now += DUE + timedelta(minutes=1)
        await handle.result()

    assert story.output.requirements[0].status == "expired"
    assert story.ledger.lines == (["paid"] if on_expiry is OnExpiry.approve else [])
    failed = on_expiry is OnExpiry.fail
    assert story.output.status is (RunStatus.error if failed else RunStatus.completed)


async def test_a_decision_that_was_acknowledged_stands_when_the_timer_comes_first(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    story = Story(skipping, tmp_path, OnExpiry.reject)
    async with story.worker():
        handle = await story.start()
        await stops(handle)
        story.decide()
        story.now += DUE + timedelta(days=1)
        await handle.result()

    assert story.ledger.lines == ["paid"]
    resolution = story.output.requirements[0].resolution
    assert resolution is not None
    assert resolution.by == "dana"


async def test_after_the_row_expired_a_decision_is_told_so(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    story = Story(skipping, tmp_path, OnExpiry.reject)
    async with story.worker():
        handle = await story.start()
        await stops(handle)
        before = story.output.requirements[0]
        story.now += DUE + timedelta(days=1)
        await handle.result()

    draft = before.confirm(by="dana").draft
    assert draft is not None
    late = Submission(before.id, submitted_digest(before), draft, "dana")
    with pytest.raises(AlreadyResolved, match="'kern' decided 'reject'"):
        story.db.write_now(lambda tx: deciding.resolve(tx, late, OPERATOR, story.now))
    assert story.ledger.lines == []


async def test_a_signal_that_comes_twice_or_for_something_else_changes_nothing(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    story = Story(skipping, tmp_path, OnExpiry.reject)
    async with story.worker():
        handle = await story.start()
        await stops(handle)
        await handle.signal("resolved", Resolved(requirement_id="another"))
        assert story.output.is_paused
        resolved = story.decide()
        for _ in range(3):
            await handle.signal("resolved", Resolved(requirement_id=resolved))
        await handle.result()

    assert story.ledger.lines == ["paid"]
