"""Whatever is open in a pipeline is served by the workflow that runs, in every order of things."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kern.values.states import RunStatus
from kern.workflow import Parallel, Step, StepInput, Steps, Workflow
from tests.support.lanes import Lanes, Player
from tests.support.pipelines import pipeline
from tests.support.stored_runs import opened

ITEMS = 7
Shape = Callable[[], tuple[Workflow, str, set[str]]]


def work(told: StepInput) -> str:
    return str(told.item)


def none() -> list[int]:
    return []


def mapped() -> tuple[Workflow, str, set[str]]:
    """Return a workflow, the step that fails at first, and all of its steps."""
    each = Parallel(Step("work", work), for_each=none, max_concurrency=3)
    return pipeline(each), "work3", {f"work{item}" for item in range(ITEMS)}


def branched() -> tuple[Workflow, str, set[str]]:
    a, b, c, d, e, f, g = (Step(name, work) for name in "abcdefg")
    one, two = Steps([Parallel(a, b), c], name="one"), Steps([d, Parallel(e, f)], name="two")
    return pipeline(Parallel(one, two), g), "e", set("abcdefg")


FEW = pytest.mark.parametrize("seed", range(12))
SHAPES = pytest.mark.parametrize("shape", [mapped, branched])


def run_lanes(shape: Shape, folder: Path, seed: int, *, fails: bool, frozen: float) -> None:
    flow, failing, names = shape()
    with opened("memory", folder) as stored:
        lanes = Lanes(stored, flow, items=ITEMS, failing=failing)
        lanes.is_good = not fails
        player = Player(lanes, seed, frozen=frozen)
        player.start()
        player.play()
        if fails:
            assert lanes.status is RunStatus.error
            lanes.retry()
            player.start()
            player.play()
        assert lanes.status is RunStatus.completed
        assert lanes.executed == dict.fromkeys(names, 1)


@FEW
@SHAPES
@pytest.mark.parametrize("frozen", [0.0, 0.1])
def test_a_retried_run_ends_whatever_the_activities_from_before_still_do(
    tmp_path: Path, shape: Shape, seed: int, frozen: float
) -> None:
    """They have not heard that their workflow has ended: they store results, and go on."""
    run_lanes(shape, tmp_path, seed, fails=True, frozen=frozen)


@FEW
@SHAPES
def test_a_run_ends_though_activities_that_were_thought_dead_go_on(
    tmp_path: Path, shape: Shape, seed: int
) -> None:
    run_lanes(shape, tmp_path, seed, fails=False, frozen=0.1)


@pytest.mark.slow
@SHAPES
@pytest.mark.parametrize("fails", [True, False])
def test_many_orders(tmp_path: Path, shape: Shape, *, fails: bool) -> None:
    for seed in range(1000, 1250):
        run_lanes(shape, tmp_path, seed, fails=fails, frozen=0.1)
