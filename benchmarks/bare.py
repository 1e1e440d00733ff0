"""Runs the bare workflow: the same server, converter and sandbox as Kern, and no SQL.

It waits in the cheapest way that Temporal has: by an update until the workflow is parked, and then
for its result. Kern is notified of both in its own process.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from benchmarks.bare_messages import Decided, Job, Stop, StopQuery
from benchmarks.bare_workflow import BareJob, step
from benchmarks.measure import Duration

_QUEUE = "bare"
_SHARED = SandboxRestrictions.default.with_passthrough_modules("benchmarks.bare_messages")


class Bare:
    """Runs jobs one at a time, with a client and a worker in this process."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def plain(self) -> Duration:
        """Run one activity: eager start, then a wait for the result."""
        return await self._run(gated=False)

    async def gated(self) -> Duration:
        """Run three activities, with a wait for one signal after the first."""
        return await self._run(gated=True)

    async def steps(self, count: int) -> Duration:
        """Run `count` activities one after another."""
        return await self._run(gated=False, steps=count)

    async def _run(self, *, gated: bool, steps: int = 1) -> Duration:
        job_id = str(uuid4())
        started_at = time.perf_counter()
        handle = await self._client.start_workflow(
            BareJob.run,
            Job(job_id=job_id, gated=gated, steps=steps),
            id=job_id,
            task_queue=_QUEUE,
            request_eager_start=True,
        )
        parked_at = started_at
        if gated:
            await handle.execute_update("wait_for_stop", StopQuery(), result_type=Stop)
            parked_at = time.perf_counter()
            await handle.signal(BareJob.decided, Decided(gate_id=job_id))
        await handle.result()
        ended_at = time.perf_counter()
        if gated:
            return Duration(job_id, parked_at - started_at, ended_at - parked_at)
        return Duration(job_id, ended_at - started_at)


@asynccontextmanager
async def bare_temporal(address: str) -> AsyncGenerator[Bare]:
    """Connect to a server and execute bare jobs while the block runs."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    worker = Worker(
        client,
        task_queue=_QUEUE,
        workflows=[BareJob],
        activities=[step],
        workflow_runner=SandboxedWorkflowRunner(restrictions=_SHARED),
        build_id="bare",
    )
    async with worker:
        yield Bare(client)
