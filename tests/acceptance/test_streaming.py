"""Streams between processes that share nothing but Temporal and Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Json
from tests.support.topology import Topology, topology
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Topology]:
    with topology(tmp_path) as found:
        yield found


def text_of(events: list[Json]) -> str:
    return "".join(str(event["content"]) for event in events if event["kind"] == "content")


def test_text_of_a_killed_worker_is_taken_back_and_told_anew(parts: Topology) -> None:
    workers = [parts.start.worker(), parts.start.worker()]
    for worker in workers:
        worker.until_ready()
    client = parts.start.client()
    shown = client.read("stories", until="content")
    assert text_of(shown) == "Once upon "
    (told,) = parts.done
    next(worker for worker in workers if worker.pid == told["pid"]).kill()
    taken_back = client.read("stories", until="content_reset")
    assert text_of(taken_back) == ""
    again = client.read("stories", until="content")
    assert (text_of(again), again[-1]["attempt"]) == ("Once upon ", 2)
    parts.release()
    rest = client.read("stories", until="run_completed")
    assert text_of(rest) == "a time."
    seen = [event["seq"] for event in [*shown, *taken_back, *again, *rest] if "seq" in event]
    assert seen == list(range(1, len(seen) + 1))


def test_a_reader_that_is_killed_takes_nothing_with_it(parts: Topology) -> None:
    parts.start.ready_worker()
    client = parts.start.client()
    (*_, shown) = client.read("stories", until="content")
    client.kill()
    parts.release()
    other = parts.start.client()
    assert other.until(shown, "completed")["content"] == "Once upon a time."
    wait_until(lambda: parts.count("tells") == 1)
