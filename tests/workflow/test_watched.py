"""A run inside another tells its end to whoever asked for it, however early that was."""

from pathlib import Path

from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from kern.activities.endings import Endings
from kern.activities.model_turn import ModelTurn
from kern.agent import Agent
from kern.client.server.start import find_binary
from kern.client.temporal.connection import KernPlugin
from kern.components.registry import Registry
from kern.contracts.messages import Nothing, RunCursor, Told
from kern.models.scripted import ScriptedModel
from tests.support.stored_runs import Stored
from tests.support.templates import sqlite_with_tables

QUEUE = "watched"


@workflow.defn(name="Above", sandboxed=False)
class Above:
    """Waits to be told that a run below it has ended."""

    def __init__(self) -> None:
        self.has_heard = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self.has_heard)

    @workflow.signal(name="told")
    def told(self, news: Told) -> None:
        self.has_heard = self.has_heard or news.ended


async def test_the_end_is_told_to_who_asked_before_the_history_began(tmp_path: Path) -> None:
    db, registry = sqlite_with_tables(tmp_path / "kern.db"), Registry()
    registry.register(Agent(id="member", model=ScriptedModel(["Done."])))
    run_id, _ = Stored(db).accept(component_id="member")
    model_turn = ModelTurn(db, registry, 3, db.broadcaster).model_turn
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_binary()), plugins=[KernPlugin()]
    )
    async with environment:
        client = environment.client
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Above],
            activities=[model_turn, Endings(db).close_run],
        )
        async with worker:
            above = await client.start_workflow("Above", id=f"above-{run_id}", task_queue=QUEUE)
            await client.start_workflow(
                "AgentRun",
                RunCursor(run_id=run_id, parent_run_id=above.id),
                id=run_id,
                task_queue=QUEUE,
                start_signal="watched",
                start_signal_args=[Nothing()],
            )
            await above.result()
    db.close()
