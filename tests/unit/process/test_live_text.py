"""Readers are woken and never waited for; texts are kept once, and no longer than needed."""

import asyncio
import threading

import pytest

from kern.process.live_text import Broadcaster, LiveText
from kern.values.ids import new_id


@pytest.fixture
def broadcaster() -> Broadcaster:
    return Broadcaster()


def heard(broadcaster: Broadcaster, run_id: str = "run") -> str:
    text = broadcaster.live(run_id)
    assert text is not None
    return text.since(0)


async def test_a_commit_wakes_those_who_read_the_run_and_nobody_else(
    broadcaster: Broadcaster,
) -> None:
    reader, other = broadcaster.follow("run"), broadcaster.follow("other")
    broadcaster.committed({"run": 7})
    assert await reader.wait(5)
    assert (reader.seq, other.seq) == (7, 0)
    assert not await other.wait(0.01)


async def test_a_reader_is_woken_from_any_thread_and_misses_no_wake_up(
    broadcaster: Broadcaster,
) -> None:
    reader = broadcaster.follow("run")

    def tell() -> None:
        for seq in range(1, 2001):
            broadcaster.committed({"run": seq})

    thread = threading.Thread(target=tell)
    thread.start()
    while reader.seq < 2000:
        assert await reader.wait(5)
    thread.join()


async def test_a_slow_reader_finds_everything_in_one_piece_and_holds_nobody_up(
    broadcaster: Broadcaster,
) -> None:
    reader = broadcaster.follow("run")
    text = broadcaster.begin("run", 1, 1)
    for number in range(10_000):
        text.add(f"{number} ")
    assert await reader.wait(5)
    assert not await reader.wait(0.01)
    assert reader.live is text
    whole = text.since(0)
    assert whole.split() == [str(number) for number in range(10_000)]
    assert text.since(len(whole) - 5) == "9999 "
    assert text.since(len(whole)) == ""


def test_a_text_that_grows_without_end_is_not_kept(broadcaster: Broadcaster) -> None:
    text = broadcaster.begin("run", 1, 1)
    for _ in range(30):
        text.add("x" * 100_000)
    assert text.length == 1_000_000


def test_what_was_written_is_forgotten_when_it_is_stored(broadcaster: Broadcaster) -> None:
    first = broadcaster.begin("run", 1, 1)
    second = broadcaster.begin("run", 1, 2)
    first.close()
    assert broadcaster.live("run") is second
    second.close()
    assert broadcaster.size == (0, 0)


def test_what_nobody_reads_is_not_kept_when_another_process_sends_it(
    broadcaster: Broadcaster,
) -> None:
    broadcaster.hear("run", (1, 1, new_id()), 0, "Hello")
    assert broadcaster.size == (0, 0)


async def test_pieces_of_another_process_are_put_together_and_gone_with_their_reader(
    broadcaster: Broadcaster,
) -> None:
    reader = broadcaster.follow("run")
    place = (1, 1, new_id())
    broadcaster.hear("run", place, 0, "Hel")
    broadcaster.hear("run", place, 0, "Hel")
    broadcaster.hear("run", place, 2, "llo ")
    assert heard(broadcaster) == "Hello "
    reader.close()
    assert broadcaster.size == (0, 0)


async def test_after_a_lost_piece_nothing_is_added(broadcaster: Broadcaster) -> None:
    broadcaster.follow("run")
    place = (1, 1, new_id())
    broadcaster.hear("run", place, 0, "One ")
    broadcaster.hear("run", place, 8, "three")
    assert heard(broadcaster) == "One "


async def test_a_later_attempt_replaces_an_earlier_one_and_not_the_other_way_round(
    broadcaster: Broadcaster,
) -> None:
    broadcaster.follow("run")
    old, new = new_id(), new_id()
    broadcaster.hear("run", (1, 1, old), 0, "Crashed")
    broadcaster.hear("run", (1, 2, new), 0, "Whole")
    broadcaster.hear("run", (1, 1, old), 7, " and woken up")
    assert heard(broadcaster) == "Whole"


async def test_its_own_words_that_come_back_are_not_said_twice(broadcaster: Broadcaster) -> None:
    broadcaster.follow("run")
    own = broadcaster.begin("run", 1, 1)
    own.add("Hello")
    broadcaster.hear("run", (1, 1, own.token), 0, "Hello")
    assert own.since(0) == "Hello"
    assert broadcaster.live("run") is own


def test_waking_a_reader_whose_loop_has_ended_does_no_harm(broadcaster: Broadcaster) -> None:
    async def follow() -> None:
        broadcaster.follow("run")

    asyncio.run(follow())
    broadcaster.committed({"run": 1})


def test_texts_are_clean(broadcaster: Broadcaster) -> None:
    text: LiveText = broadcaster.begin("run", 1, 1)
    text.add("a\ud800b\x00")
    assert text.since(0).encode() == "a?b�".encode()
