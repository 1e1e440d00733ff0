"""Long pipelines: a thousand steps, a thousand items, a loop of ten thousand iterations."""

import threading
import time

import pytest

from kern.client.processes.runtime import Runtime
from kern.values.states import RunStatus
from kern.workflow import HumanReview, Loop, Parallel, Step, StepInput
from tests.support.pipelines import go_on, pipeline

pytestmark = pytest.mark.timeout(300)

# How much dearer the end of a run may be than its beginning, on a machine that does other things.
_SLACK = 3.0


def count(told: StepInput) -> int:
    return int(str(told.previous_content)) + 1


def test_a_thousand_steps(runtime: Runtime) -> None:
    output = pipeline(*(Step(f"step {number}", count) for number in range(1000))).run("0")
    assert (output.status, output.content) == (RunStatus.completed, "1000")
    assert output.progress is not None
    assert (output.progress.done, output.progress.known) == (1000, 1000)


def test_a_thousand_items_a_few_at_once(runtime: Runtime) -> None:
    lock = threading.Lock()
    at_once, most = 0, 0

    def work(told: StepInput) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.001)
        with lock:
            at_once -= 1
        return int(str(told.item))

    items = Parallel(work, for_each=lambda: list(range(1000)), max_concurrency=8)
    output = pipeline(items, lambda told: sum(told.previous_content)).run("")
    assert (output.status, output.content) == (RunStatus.completed, str(sum(range(1000))))
    assert most <= 8


def test_a_hundred_people_are_asked_at_once(runtime: Runtime) -> None:
    asked = Step(
        "ask", lambda told: told.item, human_review=HumanReview(requires_confirmation=True)
    )
    flow = pipeline(Parallel(asked, for_each=lambda: list(range(100)), max_concurrency=100))
    output = flow.run("")
    assert len(output.active_requirements) == 100
    for requirement in output.active_requirements:
        requirement.confirm()
    assert go_on(flow, output).status is RunStatus.completed


def test_an_iteration_costs_the_same_late_in_a_loop(runtime: Runtime) -> None:
    times: list[float] = []

    def note(told: StepInput) -> int:
        times.append(time.monotonic())
        return count(told)

    pipeline(Loop([note], lambda: False, 600)).run("0")
    early, late = (times[200] - times[100]), (times[599] - times[499])
    assert late < early * _SLACK, (early, late)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_loop_of_ten_thousand_iterations(runtime: Runtime) -> None:
    output = pipeline(Loop([count], lambda: False, 10_000)).run("0")
    assert (output.status, output.content) == (RunStatus.completed, "10000")
