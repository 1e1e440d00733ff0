"""Whoever waits for a run in this process hears that it has stopped, and hears nothing else."""

import asyncio
import threading

import pytest

from kern.process.stop_signals import Stops


@pytest.fixture
def stops() -> Stops:
    return Stops()


async def test_all_who_wait_for_a_run_hear_of_its_stop_and_nobody_else(stops: Stops) -> None:
    with stops.watch("run") as first, stops.watch("run") as second, stops.watch("other") as other:
        stops.notify(["run"])
        await asyncio.wait_for(first.wait(), 5)
        await asyncio.wait_for(second.wait(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.wait(), 0.01)


async def test_what_was_told_before_it_is_waited_for_is_heard_once(stops: Stops) -> None:
    with stops.watch("run") as watch:
        stops.notify(["run"])
        stops.notify(["run"])
        await asyncio.sleep(0)
        await asyncio.wait_for(watch.wait(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.wait(), 0.01)
        stops.notify(["run"])
        await asyncio.wait_for(watch.wait(), 5)


async def test_a_stop_is_told_from_any_thread(stops: Stops) -> None:
    with stops.watch("run") as watch:
        thread = threading.Thread(target=stops.notify, args=(["run"],))
        thread.start()
        await asyncio.wait_for(watch.wait(), 5)
        thread.join()


async def test_nothing_is_kept_of_one_who_waits_no_more(stops: Stops) -> None:
    with stops.watch("run") as watch:
        assert stops.size == 1
    assert stops.size == 0
    stops.notify(["run"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.wait(), 0.01)


def test_who_waited_on_a_loop_that_is_closed_disturbs_nobody(stops: Stops) -> None:
    left = stops.watch("run")

    async def begin() -> None:
        left.__enter__()

    asyncio.run(begin())
    assert stops.size == 1
    stops.notify(["run"])
