"""The code of an attempt begins, or is given up before: one of both."""

import threading

import pytest

from kern.activities import starts
from kern.activities.starts import Start
from kern.activities.tool_loop import NotBegun, Returned, ToolLoop


def test_what_was_given_up_never_begins() -> None:
    start = Start()
    assert start.give_up()
    assert not start.begin()


def test_what_has_begun_cannot_be_given_up() -> None:
    start = Start()
    assert start.begin()
    assert not start.give_up()


def test_code_begins_once() -> None:
    start = Start()
    assert (start.begin(), start.begin()) == (True, False)


def test_beginning_and_giving_up_at_once_has_one_winner() -> None:
    for _ in range(200):
        start, outcomes, both = Start(), list[bool](), threading.Barrier(2)

        def race(act: str, start: Start = start, outcomes: list[bool] = outcomes) -> None:
            both.wait(20)  # noqa: B023  joined before the next round
            outcomes.append(start.begin() if act == "begin" else start.give_up())

        threads = [threading.Thread(target=race, args=(act,)) for act in ("begin", "give up")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [False, True]


def test_the_row_of_a_call_is_asked_right_before_its_code() -> None:
    executed: list[str] = []
    loop = ToolLoop()
    for is_mine, expected in ((True, Returned("paid")), (False, NotBegun())):

        def confirm(is_mine: bool = is_mine) -> bool:  # noqa: FBT001  bound here
            return is_mine

        def pay() -> str:
            executed.append("sync")
            return "paid"

        async def pay_later() -> str:
            executed.append("async")
            return "paid"

        for tool in (pay, pay_later):
            future = loop.submit(tool, {}, str, Start(confirm))
            assert future.result(timeout=20) == expected
    assert executed == ["sync", "async"]
    loop.close()


def test_what_was_given_up_asks_no_row() -> None:
    answers = [True]
    start = Start(answers.pop)
    start.give_up()
    assert (start.confirm(), start.begin(), answers) == (False, False, [True])


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_took_long_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
    is_async: bool,  # noqa: FBT001
) -> None:
    """Its acknowledgement may have been on its way while others decided."""
    ticks = iter([0.0, 60.0, 60.0, 60.1])
    monkeypatch.setattr(starts, "_now", lambda: (next(ticks), 0.0))
    answers, executed, loop = [True, False], list[str](), ToolLoop()

    def pay() -> None:
        executed.append("paid")

    async def pay_async() -> None:
        executed.append("paid")

    start = Start(lambda: answers.pop(0))
    ended = loop.submit(pay_async if is_async else pay, {}, str, start).result(timeout=20)
    assert (ended, executed, answers) == (NotBegun(), [], [])
    loop.close()


def test_nothing_begins_on_a_database_that_never_answers_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starts, "_MOMENT", -1.0)
    executed, loop = list[str](), ToolLoop()
    start = Start(lambda: True)
    ended = loop.submit(lambda: executed.append("paid"), {}, str, start).result(timeout=20)
    assert (ended, executed) == (NotBegun(), [])
    loop.close()


def test_who_cannot_ask_does_not_begin() -> None:
    def confirm() -> bool:
        raise ConnectionError

    loop, executed = ToolLoop(), list[str]()
    ended = loop.submit(lambda: executed.append("paid"), {}, str, Start(confirm)).result(timeout=20)
    assert (ended, executed) == (NotBegun(), [])
    loop.close()
