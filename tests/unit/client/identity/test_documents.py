"""Documents of a provider that are kept, and fetched again."""

import asyncio

import pytest

from kern.client.identity.documents import KeptDocument
from kern.errors import Unavailable


class Source:
    """Something that is fetched, and may be away."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        self.is_away = False

    async def fetch(self) -> int:
        self.count += 1
        await asyncio.sleep(0)
        if self.is_away:
            message = "It is away."
            raise Unavailable(message)
        return self.count

    def kept(self) -> KeptDocument[int]:
        return KeptDocument(self.fetch, fresh_seconds=60, kept_seconds=3600, clock=lambda: self.now)


async def settled() -> None:
    """Let what runs in the background end."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_document_is_fetched_once_for_all_who_wait() -> None:
    source = Source()
    kept = source.kept()
    assert await asyncio.gather(*(kept.get() for _ in range(5))) == [1] * 5
    assert source.count == 1


async def test_an_old_document_is_used_while_it_is_fetched_again() -> None:
    source = Source()
    kept = source.kept()
    await kept.get()
    source.now = 61
    assert [await kept.get(), await kept.get()] == [1, 1]
    await settled()
    assert await kept.get() == 2
    assert source.count == 2


async def test_a_document_outlives_its_source_for_a_while() -> None:
    source = Source()
    kept = source.kept()
    await kept.get()
    source.is_away = True
    for now in range(61, 3600, 60):
        source.now = now
        assert await kept.get() == 1
        await settled()
    source.now = 3600
    with pytest.raises(Unavailable):
        await kept.get()
    source.is_away, source.now = False, 3602
    assert await kept.get() > 1


async def test_whoever_asks_again_is_heard_once_in_a_while() -> None:
    source = Source()
    kept = source.kept()
    await kept.get()
    assert [await kept.again() for _ in range(4)] == [2, 2, 2, 2]
    source.now = 5
    assert await kept.again() == 3


async def test_a_failure_is_not_waited_for_by_each_in_turn() -> None:
    source = Source()
    source.is_away = True
    kept = source.kept()
    results = await asyncio.gather(*(kept.get() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert source.count == 1
    source.now, source.is_away = 1.0, False
    assert await kept.get() == 2
