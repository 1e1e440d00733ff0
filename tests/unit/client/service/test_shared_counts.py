"""Readers who ask for the same share a count, which misses nothing from before they asked."""

import asyncio
from collections.abc import Awaitable, Callable

from kern.client.service.shared_counts import SharedCounts


class Counter:
    """Something that is counted, slowly: each count waits until it is let go."""

    def __init__(self) -> None:
        self.value, self.counts, self.at_once, self.most = 0, 0, 0, 0
        self.begun, self.free = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> int:
        present = self.value
        self.counts, self.at_once = self.counts + 1, self.at_once + 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        await self.free.wait()
        self.at_once -= 1
        return present


async def asked(shared: SharedCounts, key: str, count: Callable[[], Awaitable[int]]) -> int:
    return await shared.of(key, count)


async def test_those_who_ask_for_the_same_share_a_count() -> None:
    shared, counter = SharedCounts(), Counter()
    asking = [asyncio.create_task(asked(shared, "dana", counter)) for _ in range(100)]
    asking += [asyncio.create_task(asked(shared, "ravi", counter)) for _ in range(100)]
    await asyncio.sleep(0)
    counter.free.set()
    assert set(await asyncio.gather(*asking)) == {0}
    # One may have begun before the others asked.
    assert counter.counts <= 4
    assert counter.most <= 2


async def test_whoever_asks_after_a_change_is_answered_by_a_count_that_knows_of_it() -> None:
    shared, counter = SharedCounts(), Counter()
    first = asyncio.create_task(asked(shared, "dana", counter))
    await counter.begun.wait()
    counter.value = 7
    second = asyncio.create_task(asked(shared, "dana", counter))
    await asyncio.sleep(0)
    counter.free.set()
    assert (await first, await second) == (0, 7)


async def test_whoever_leaves_takes_the_count_from_nobody_else() -> None:
    shared, counter = SharedCounts(), Counter()
    leaving = asyncio.create_task(asked(shared, "dana", counter))
    staying = asyncio.create_task(asked(shared, "dana", counter))
    await asyncio.sleep(0)
    leaving.cancel()
    counter.free.set()
    assert await staying == 0
