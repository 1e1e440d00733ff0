"""Pipelines of functions that do nothing: what is left is what the steps themselves cost."""

import time

from benchmarks.measure import Took
from kern.client.processes.process_runtime import runtime_for
from kern.values.states import RunStatus
from kern.workflow import Loop, Parallel, Step, StepInput, Workflow

STEPS, ITERATIONS, ITEMS, AT_ONCE = 100, 300, 1000, 10


def count(told: StepInput) -> int:
    return int(str(told.previous_content)) + 1


def item(told: StepInput) -> int:
    return int(str(told.item))


def is_over(told: StepInput) -> bool:
    return int(str(told.previous_content)) < 0


SEQUENCE = Workflow(
    id="bench-sequence", steps=[Step(f"step {number}", count) for number in range(STEPS)]
)
LOOP = Workflow(id="bench-loop", steps=[Loop([count], is_over, ITERATIONS)])
MANY = Workflow(
    id="bench-many",
    steps=[Parallel(item, for_each=lambda: list(range(ITEMS)), max_concurrency=AT_ONCE)],
)


async def sequence() -> Took:
    """Run steps one after another."""
    return await _timed(SEQUENCE)


async def loop() -> Took:
    """Run iterations of one step, after each of which code is asked whether it was the last."""
    return await _timed(LOOP)


async def many() -> Took:
    """Run a step for each item, some at once."""
    return await _timed(MANY)


async def _timed(workflow: Workflow) -> Took:
    runtime_for(workflow)
    began = time.perf_counter()
    output = await workflow.arun("0")
    took = time.perf_counter() - began
    if output.status is not RunStatus.completed:
        message = f"The run that was measured did not complete: {output!r}"
        raise RuntimeError(message)
    return Took(output.run_id, took)
