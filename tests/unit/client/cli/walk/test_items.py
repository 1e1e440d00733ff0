"""A walk that stays open reads what waits when the feed says so, and not each second."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import TypeVar, cast

import anyio
import pytest

from kern.client.cli.walk import items
from kern.client.cli.walk.items import Items
from kern.client.cli.walk.query import InboxQuery
from kern.client.service.operations import OperatorService
from kern.contracts.reports import RequirementPage
from kern.process.clock import utc_now
from kern.requirements import Requirement
from tests.support.walk_samples import requirement

Result = TypeVar("Result")


class Served:
    """A service with pages and a feed of the test's."""

    def __init__(self) -> None:
        self.is_new = True
        self.pages: list[list[Requirement]] = []
        self.read = 0

    def call(self, work: Callable[[OperatorService], Awaitable[Result]]) -> Result:
        async def perform() -> Result:
            service = SimpleNamespace(
                inbox=SimpleNamespace(pending=self._pending),
                feed=SimpleNamespace(watch=self._watch),
            )
            return await work(cast("OperatorService", service))

        return anyio.run(perform)

    def close(self) -> None:
        """Nothing is kept."""

    async def _pending(self, *_: object, **__: object) -> RequirementPage:
        self.read += 1
        page = self.pages.pop(0) if self.pages else []
        return RequirementPage(requirements=page, next_cursor="more" if self.pages else None)

    async def _watch(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(is_new=self._is_new)

    async def _is_new(self) -> bool:
        is_new, self.is_new = self.is_new, False
        return is_new


def opened(number: int) -> Requirement:
    at = utc_now() + timedelta(seconds=1)
    return requirement(id=f"new_{number}", created_at=at)


def test_pages_are_read_when_the_feed_says_so() -> None:
    served = Served()
    walked = Items(served, InboxQuery(), "dana")
    assert [walked.load_new() for _ in range(3)] == [0, 0, 0]
    assert served.read == 1
    served.is_new, served.pages = True, [[opened(1)], [opened(2), opened(3)]]
    assert [walked.load_new() for _ in range(3)] == [1, 2, 0]
    assert (served.read, walked.news) == (3, 3)


def test_what_is_not_in_the_feed_is_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "_LOOK_SECONDS", 0.0)
    served = Served()
    walked = Items(served, InboxQuery(), "dana")
    walked.load_new()
    served.pages = [[opened(1)]]
    assert walked.load_new() == 1
