"""Pipelines of functions that do nothing, so that only the cost of the steps is measured."""

import time

from benchmarks.measure import Duration
from kern.client.processes.process_runtime import runtime_for
from kern.values.states import RunStatus
from kern.workflow import Loop, Parallel, Step, StepInput, Workflow

STEPS, ITERATIONS, ITEMS, AT_ONCE = 100, 300, 1000, 10


def count(step_input: StepInput) -> int:
    return int(str(step_input.previous_content)) + 1


def item(step_input: StepInput) -> int:
    return int(str(step_input.item))


def is_over(step_input: StepInput) -> bool:
    return int(str(step_input.previous_content)) < 0


SEQUENCE = Workflow(
    id="bench-sequence", steps=[Step(f"step {number}", count) for number in range(STEPS)]
)
LOOP = Workflow(id="bench-loop", steps=[Loop([count], is_over, ITERATIONS)])
MANY = Workflow(
    id="bench-many",
    steps=[Parallel(item, for_each=lambda: list(range(ITEMS)), max_concurrency=AT_ONCE)],
)


async def sequence() -> Duration:
    """Run steps one after another."""
    return await _timed(SEQUENCE)


async def loop() -> Duration:
    """Run iterations of one step, with an end condition in code after each."""
    return await _timed(LOOP)


async def many() -> Duration:
    """Run a step for each item, some of them concurrently."""
    return await _timed(MANY)


async def _timed(workflow: Workflow) -> Duration:
    runtime_for(workflow)
    started_at = time.perf_counter()
    output = await workflow.arun("0")
    seconds = time.perf_counter() - started_at
    if output.status is not RunStatus.completed:
        message = f"The run that was measured did not complete: {output!r}"
        raise RuntimeError(message)
    return Duration(output.run_id, seconds)
