"""Pipelines: steps in a second, one after another and in a loop, and the cost of many items."""

import time
from collections.abc import Sequence

from benchmarks.report import Row
from kern.client.runtime import runtime_for
from kern.workflow import Loop, Parallel, Step, StepInput, StepLike, Workflow

STEPS, ITERATIONS, ITEMS, AT_ONCE = 300, 300, 1000, 10


def count(told: StepInput) -> int:
    return int(str(told.previous_content)) + 1


def item(told: StepInput) -> int:
    return int(str(told.item))


def is_over(told: StepInput) -> bool:
    return int(str(told.previous_content)) < 0


async def pipelines() -> list[Row]:
    """Measure functions that do nothing, so that what is left is Kern's own."""
    await _seconds("warm", [count])
    sequence = await _seconds("sequence", [Step(f"step {one}", count) for one in range(STEPS)])
    loop = await _seconds("loop", [Loop([count], is_over, ITERATIONS)])
    each = Parallel(item, for_each=lambda: list(range(ITEMS)), max_concurrency=AT_ONCE)
    many = await _seconds("many", [each])
    return [
        Row(f"a pipeline of {STEPS} steps", "steps per second", STEPS / sequence),
        Row(f"a loop of {ITERATIONS} iterations", "iterations per second", ITERATIONS / loop),
        Row(f"{ITEMS:,} items, {AT_ONCE} at once", "items per second", ITEMS / many),
        Row(f"{ITEMS:,} items, {AT_ONCE} at once", "seconds", many),
    ]


async def _seconds(name: str, steps: Sequence[StepLike]) -> float:
    workflow = Workflow(id=f"bench-{name}", steps=steps)
    runtime_for(workflow)
    begun = time.perf_counter()
    output = await workflow.arun("0")
    took = time.perf_counter() - begun
    if output.status != "completed":
        message = f"the pipeline {name} is {output.status}: {output.error}"
        raise RuntimeError(message)
    return took
