"""How many calls are executed at once, and who waits."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta

import pytest

from kern.activities.places import Places, QueueFullError
from kern.process.waiting_tools import leave_place


async def test_places_are_given_in_order_and_given_back_once() -> None:
    places = Places(1)
    first = places.try_take()
    assert first is not None
    assert places.try_take() is None
    order: list[str] = []

    async def use(name: str) -> None:
        place = await places.take()
        order.append(name)
        await asyncio.sleep(0)
        place.leave()
        place.leave()

    waiting = [asyncio.create_task(use(name)) for name in "abc"]
    await asyncio.sleep(0)
    assert order == []
    first.leave()
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c"]
    assert places.try_take() is not None
    assert places.try_take() is None


async def test_who_stops_waiting_leaves_the_turn_to_the_next() -> None:
    places = Places(1)
    held = places.try_take()
    assert held is not None
    gone, stays = (asyncio.create_task(places.take()) for _ in range(2))
    await asyncio.sleep(0)
    held.leave()
    # Its turn has come, and it is cancelled before it takes it.
    gone.cancel()
    assert (await stays) is not None
    assert gone.cancelled()


async def test_a_place_that_is_given_back_goes_to_who_waits_longest() -> None:
    places = Places(1)
    held = places.try_take()
    assert held is not None
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    held.leave()
    # It has not come to run yet, and its place is its own all the same.
    assert places.try_take() is None
    (await waiting).leave()
    assert places.try_take() is not None


async def test_who_is_cancelled_while_waiting_takes_no_place_along() -> None:
    places = Places(1)
    held = places.try_take()
    assert held is not None
    gone = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    gone.cancel()
    held.leave()
    await asyncio.wait([gone])
    assert places.try_take() is not None
    assert places.try_take() is None


async def test_code_that_waits_for_a_run_leaves_its_place() -> None:
    places = Places(1)
    place = places.try_take()
    assert place is not None
    with place.occupied():
        seen = contextvars.copy_context()[leave_place]
        assert seen is not None
        await asyncio.to_thread(seen)
        await asyncio.sleep(0)
        assert place.is_left
        assert places.try_take() is not None
    assert leave_place.get() is None
    assert places.try_take() is None


async def test_more_than_the_longest_queue_come_back_later() -> None:
    places = Places(1, longest_queue=1)
    place = places.try_take()
    assert place is not None
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError):
        await places.take()
    waiting.cancel()
    await asyncio.wait([waiting])
    # Whoever stopped waiting takes up no room.
    next_waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    place.leave()
    (await next_waiting).leave()


async def test_places_are_blocked_when_none_is_given_back_for_long() -> None:
    now = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
    places = Places(2, clock=lambda: now)
    limit = timedelta(seconds=10)
    first, second = places.try_take(), places.try_take()
    assert first is not None
    assert second is not None
    first.name = "refund"
    now += limit
    assert places.blocked(limit) is None
    now += timedelta(seconds=1)
    blocked = places.blocked(limit)
    assert blocked is not None
    assert "all 2 places" in blocked
    assert "refund since 2026-11-30T04:00:00Z" in blocked
    second.leave()
    assert places.blocked(limit) is None


async def test_places_that_change_hands_are_not_blocked() -> None:
    now = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
    places = Places(1, clock=lambda: now)
    place = places.try_take()
    assert place is not None
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    now += timedelta(seconds=9)
    place.leave()
    await waiting
    now += timedelta(seconds=9)
    assert places.blocked(timedelta(seconds=10)) is None
    now += timedelta(seconds=2)
    assert places.blocked(timedelta(seconds=10)) is not None
