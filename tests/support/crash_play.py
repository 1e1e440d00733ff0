"""Plays the cases that a module of tests was given, all at once: most of a case is waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.crash_case import Case, CaseRun
from tests.support.crash_world import World

Left = TypeVar("Left")


def play_selected(
    request: pytest.FixtureRequest,
    folder: Path,
    play: Callable[[CaseRun, str], Awaitable[Left]],
) -> Iterator[dict[str, Future[Left]]]:
    """Play what the module's selected tests ask for; yield what each comes to, by kind and name.

    Args:
        request: The module's fixture's.
        folder: Where the cases have their files.
        play: Plays one case on the database with a URL, and returns what the test holds against
            the laws.
    """
    chosen = [
        (case, str(item.callspec.params["kind"]))
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
        and isinstance(case := item.callspec.params.get("case"), Case)
    ]
    with World(folder) as world:

        async def one(case: Case, kind: str) -> Left:
            async with world.limit:
                place, url = await asyncio.to_thread(world.fresh, kind)
                return await play(CaseRun(world, case, place, url), url)

        yield {f"{kind}-{case.name}": world.submit(one(case, kind)) for case, kind in chosen}
