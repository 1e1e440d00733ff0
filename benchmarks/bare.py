"""Runs the bare workflow as Kern runs its own: same server, converter, sandbox, waits; no SQL."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from benchmarks.bare_messages import Decided, Job, Stop, StopQuery
from benchmarks.bare_workflow import BareJob, step
from benchmarks.measure import Took

_QUEUE = "bare"
_SHARED = SandboxRestrictions.default.with_passthrough_modules("benchmarks.bare_messages")


class Bare:
    """Runs jobs one at a time, with a client and a worker in this process."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def plain(self) -> Took:
        """Run one activity: eager start, then an update that returns at the end."""
        return await self._run(gated=False)

    async def gated(self) -> Took:
        """Run three activities with one signal after the first."""
        return await self._run(gated=True)

    async def steps(self, count: int) -> Took:
        """Run so many activities one after another."""
        return await self._run(gated=False, steps=count)

    async def _run(self, *, gated: bool, steps: int = 1) -> Took:
        job_id = str(uuid4())
        began = time.perf_counter()
        handle = await self._client.start_workflow(
            BareJob.run,
            Job(job_id=job_id, gated=gated, steps=steps),
            id=job_id,
            task_queue=_QUEUE,
            request_eager_start=True,
        )
        await _wait(handle, StopQuery())
        stopped = time.perf_counter()
        if gated:
            await handle.signal(BareJob.decided, Decided(gate_id=job_id))
            await _wait(handle, StopQuery(heard=(job_id,)))
        return Took(job_id, stopped - began, time.perf_counter() - stopped if gated else 0.0)


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


async def _wait(handle: WorkflowHandle[BareJob, None], query: StopQuery) -> None:
    try:
        await handle.execute_update("wait_for_stop", query, result_type=Stop)
    except RPCError:
        # The job ended before the update came, as a run of Kern may.
        await handle.result()
