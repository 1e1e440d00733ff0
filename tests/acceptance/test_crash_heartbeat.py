"""An attempt goes on giving signs of life while the database is away."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from kern.activities.heartbeat import beating
from kern.errors import Unavailable


@pytest.mark.timeout(30)
@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "fails"])
async def test_note_that_is_not_made_stops_neither_the_beats_nor_the_work(*, hangs: bool) -> None:
    environment = ActivityEnvironment()
    timeout = timedelta(seconds=0.06)
    environment.info = dataclasses.replace(environment.info, heartbeat_timeout=timeout)
    beat = asyncio.Event()
    environment.on_heartbeat = lambda *_details: beat.set()

    async def note() -> None:
        if hangs:
            await asyncio.Event().wait()
        message = "the database is away"
        raise Unavailable(message)

    async def work() -> str:
        async with beating(meanwhile=note):
            await asyncio.wait_for(beat.wait(), timeout=10)
        return "done"

    assert await environment.run(work) == "done"
