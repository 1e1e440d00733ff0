"""A loop that does not turn is reported, with the place that blocks it."""

import asyncio
import threading
from contextlib import closing

import pytest

from kern.process.logs import fields_of
from kern.process.loop_watch import LoopWatch


class Watched:
    """What is logged, and an event that is set by each line."""

    def __init__(self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_logged = threading.Event()
        self._caplog = caplog
        handle = caplog.handler.handle

        def handle_and_note(record: object) -> object:
            result = handle(record)  # type: ignore[arg-type]
            self.is_logged.set()
            return result

        monkeypatch.setattr(caplog.handler, "handle", handle_and_note)

    @property
    def events(self) -> list[dict[str, object]]:
        return [dict(fields_of(record)) for record in self._caplog.records]


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Watched:
    caplog.set_level("WARNING", logger="kern.loop")
    return Watched(caplog, monkeypatch)


async def test_code_that_blocks_the_loop_is_named_while_it_does(watched: Watched) -> None:
    watch = LoopWatch(lag=0.05)
    watch.start()

    def block_the_loop() -> None:
        assert watched.is_logged.wait(10)

    block_the_loop()
    watched.is_logged.clear()
    assert await asyncio.to_thread(watched.is_logged.wait, 10)
    watch.stop()
    began, ended = watched.events[:2]
    assert began["event"] == "loop_blocked"
    assert "block_the_loop" in str(began["at"])
    assert "thread" in str(began["advice"])
    assert ended["event"] == "loop_was_blocked"
    assert float(str(ended["seconds"])) >= 0.05


def test_a_watch_ends_with_its_loop() -> None:
    before = threading.active_count()
    with closing(asyncio.new_event_loop()) as loop:

        async def begin() -> None:
            LoopWatch(lag=0.02).start()

        loop.run_until_complete(begin())
        (watching,) = [item for item in threading.enumerate() if item.name == "kern-loop-watch"]
    watching.join(10)
    assert threading.active_count() == before
