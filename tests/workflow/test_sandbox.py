"""The sandbox is on for our workflows: what a replay could not repeat is refused."""

import asyncio
import dataclasses
import sys
from datetime import datetime
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from kern.client.temporal.connection import KernPlugin
from kern.client.temporal.sandbox import PASSED_THROUGH
from kern.values.ids import new_id

TEMPORAL = str(Path(sys.executable).with_name("temporal"))


@workflow.defn(name="LooksAtTheClock")
class LooksAtTheClock:
    """Does what no workflow may do."""

    @workflow.run
    async def run(self) -> str:
        return datetime.now().isoformat()  # noqa: DTZ005  the point of it


@workflow.defn(name="AsksTemporal")
class AsksTemporal:
    """Does the same as it may be done."""

    @workflow.run
    async def run(self) -> str:
        return workflow.now().isoformat()


def runner() -> SandboxedWorkflowRunner:
    """Return the runner that the plugin makes of the SDK's own."""
    make = KernPlugin().workflow_runner
    assert callable(make)
    made = make(SandboxedWorkflowRunner())
    assert isinstance(made, SandboxedWorkflowRunner)
    return made


def test_no_module_of_our_workflows_is_shared_with_the_worker() -> None:
    shared = runner().restrictions.passthrough_modules
    assert set(PASSED_THROUGH) <= shared
    for guarded in ("kern", "kern.workflows", "kern.workflows.agent_run"):
        prefixes = {guarded.rsplit(".", up)[0] for up in range(guarded.count(".") + 1)}
        assert not prefixes & shared
    assert not runner().restrictions.passthrough_all_modules


@pytest.mark.timeout(180)
async def test_a_workflow_that_looks_at_the_clock_is_refused() -> None:
    async with (
        await WorkflowEnvironment.start_local(dev_server_existing_path=TEMPORAL) as server,
        Worker(
            server.client,
            task_queue="sandbox",
            workflows=[LooksAtTheClock, AsksTemporal],
            workflow_runner=dataclasses.replace(runner()),
            workflow_failure_exception_types=[
                workflow.NondeterminismError,
                RuntimeError,
                Exception,
            ],
        ),
    ):

        async def execute(name: str) -> object:
            started = server.client.execute_workflow(name, id=new_id(), task_queue="sandbox")
            return await asyncio.wait_for(started, 60)

        assert await execute("AsksTemporal")
        with pytest.raises(WorkflowFailureError) as caught:
            await execute("LooksAtTheClock")
    assert isinstance(caught.value.cause, ApplicationError)
    assert "datetime.datetime.now" in str(caught.value.cause)
