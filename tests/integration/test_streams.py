"""A streamed run, as an agent's user reads it."""

import asyncio
import itertools
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import BaseModel

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.db.engine.tables import RunRow
from kern.db.sessions import records
from kern.errors import InvalidInput, NotAllowed, NotFound
from kern.events import (
    RunCancelled,
    RunCompleted,
    RunContent,
    RunContentReset,
    RunEvent,
    RunFailed,
    RunPaused,
    ToolCallCompleted,
    ToolCallStarted,
)
from kern.models.base import ProviderError
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.scripted import Call
from kern.tools import tool
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.agents import scripted
from tests.support.model_server import ModelServer
from tests.support.speaking import Speaking, speaking
from tests.support.waiting import wait_until


@tool(requires_confirmation=True)
def refund(order_id: str) -> str:
    """Pay the customer back."""
    return f"refunded {order_id}"


def gated() -> Agent:
    return scripted([["Let me see. ", Call("refund", order_id="1042")], "All is well."], [refund])


def text_of(events: Iterable[RunEvent]) -> str:
    text = ""
    for event in events:
        if isinstance(event, RunContentReset):
            text = ""
        elif isinstance(event, RunContent):
            text += event.content
    return text


def kinds(events: Iterable[RunEvent]) -> list[str]:
    return [event.kind for event in events]


def numbers(events: Iterable[RunEvent]) -> list[int]:
    return [seq for event in events if (seq := getattr(event, "seq", None)) is not None]


def row_of(runtime: Runtime, run_id: str) -> RunRow:
    return runtime.services.db.read_now(lambda tx: tx.get_one(RunRow, run_id))


def nothing_is_kept(runtime: Runtime) -> bool:
    return runtime.services.db.broadcaster.size == (0, 0)


def test_text_comes_while_the_model_still_writes(runtime_on_each: Runtime, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    agent = speaking([["One ", gate, "two."]])
    stream = agent.run("Count", stream=True)
    first = next(stream)
    assert isinstance(first, RunContent)
    assert (first.content, first.turn, first.attempt) == ("One ", 1, 1)
    assert agent.get_run_output(first.run_id).status is not RunStatus.completed
    gate.touch()
    rest = list(stream)
    assert text_of([first, *rest]) == "One two."
    assert isinstance(rest[-1], RunCompleted)
    assert rest[-1].output.content == "One two."
    assert set(kinds([first, *rest[:-1]])) == {"content"}
    wait_until(lambda: nothing_is_kept(runtime_on_each))


def test_events_are_told_in_order_up_to_the_pause_and_after_it(runtime_on_each: Runtime) -> None:
    agent = gated()
    before = list(agent.run("Refund order 1042", stream=True, stream_events=True))
    assert [kind for kind in kinds(before) if kind != "content"] == [
        *("run_started", "turn_started", "turn_completed", "noted", "run_paused")
    ]
    assert kinds(before).index("turn_started") < kinds(before).index("content")
    assert text_of(before) == "Let me see. "
    paused = before[-1]
    assert isinstance(paused, RunPaused)
    (requirement,) = paused.requirements
    assert requirement.arguments == {"order_id": "1042"}
    requirement.confirm(by="dana")
    after = list(
        agent.continue_run(
            paused.run_id, paused.output.requirements, stream=True, stream_events=True
        )
    )
    assert [kind for kind in kinds(after) if kind != "content"] == [
        *("noted", "run_continued", "tool_call_started", "tool_call_completed"),
        *("turn_started", "turn_completed", "run_completed"),
    ]
    started, done = (
        event for event in after if isinstance(event, ToolCallStarted | ToolCallCompleted)
    )
    assert started.tool.arguments == {"order_id": "1042"}
    assert done.tool.result == "refunded 1042"
    assert text_of(after) == "All is well."
    assert numbers([*before, *after]) == list(range(1, len(numbers([*before, *after])) + 1))


def test_a_reader_that_comes_back_misses_no_event(runtime_on_each: Runtime) -> None:
    agent = gated()
    *_, paused = agent.run("Refund order 1042", stream=True)
    assert isinstance(paused, RunPaused)
    paused.requirements[0].confirm(by="dana")
    agent.continue_run(paused.run_id, paused.output.requirements)
    last = row_of(runtime_on_each, paused.run_id).last_event
    for after in range(last + 1):
        seen = list(agent.stream_run(paused.run_id, after=after))
        expected = list(range(after + 1, last + 1)) or [last]
        assert numbers(seen) == expected
        assert isinstance(seen[-1], RunCompleted)
    assert text_of(agent.stream_run(paused.run_id)) == "Let me see. All is well."
    only_text = list(agent.stream_run(paused.run_id, stream_events=False))
    assert set(kinds(only_text)) == {"content", "run_completed"}


def test_a_paused_run_is_told_to_be_paused_to_whoever_comes_late(runtime: Runtime) -> None:
    agent = gated()
    paused = agent.run("Refund order 1042")
    (told,) = agent.continue_run(paused.run_id, stream=True)
    assert isinstance(told, RunPaused)
    (again,) = agent.stream_run(paused.run_id, after=told.seq)
    assert isinstance(again, RunPaused)
    assert (again.seq, again.requirements) == (told.seq, told.requirements)


def test_leaving_the_reader_never_ends_the_run(runtime: Runtime, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    agent = speaking([["One ", gate, "two."]])
    left = ""
    for event in agent.run("Count", stream=True):
        left = event.run_id
        break
    closed = agent.run("Count", stream=True)
    other = next(closed).run_id
    closed.close()
    wait_until(lambda: runtime.services.db.broadcaster.size[0] == 0)
    gate.touch()
    for run_id in (left, other):
        assert list(agent.stream_run(run_id))[-1].kind == "run_completed"
        assert agent.get_run_output(run_id).content == "One two."


async def test_a_cancelled_task_of_the_reader_never_ends_the_run(
    runtime: Runtime, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    agent = speaking([["One ", gate, "two."]])
    seen = asyncio.Queue[RunEvent]()

    async def read() -> None:
        async for event in agent.arun("Count", stream=True):
            seen.put_nowait(event)

    task = asyncio.create_task(read())
    first = await seen.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.touch()
    events = [event async for event in agent.astream_run(first.run_id)]
    assert text_of(events) == "One two."
    assert runtime.services.db.broadcaster.size[0] == 0


async def test_streams_are_read_on_the_callers_event_loop(runtime: Runtime) -> None:
    agent = gated()
    events = [event async for event in agent.arun("Hi", stream=True, stream_events=True)]
    paused = events[-1]
    assert isinstance(paused, RunPaused)
    paused.requirements[0].reject("no", by="dana")
    requirements = paused.output.requirements
    *_, done = [
        event async for event in agent.acontinue_run(paused.run_id, requirements, stream=True)
    ]
    assert isinstance(done, RunCompleted)
    assert (await agent.arun("Hi")).status is RunStatus.paused


def test_a_repeated_attempt_takes_back_what_was_shown(
    runtime_on_each: Runtime, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gone = ProviderError("gone", code="connection", retryable=True, retry_after=0.01)
    agent = speaking(lambda asked: [["Half of ", gate, gone] if asked == 0 else ["All of it."]])
    stream = agent.run("Hi", stream=True)
    first = next(stream)
    gate.touch()
    events = [first, *stream]
    assert kinds(events) == ["content", "content_reset", "content", "run_completed"]
    assert text_of(events) == "All of it."
    assert [event.attempt for event in events if isinstance(event, RunContent)] == [1, 2]


def test_an_error_ends_the_stream(runtime: Runtime) -> None:
    agent = speaking([[ProviderError("no such model", code="refused", retryable=False)]])
    *_, failed = agent.run("Hi", stream=True)
    assert isinstance(failed, RunFailed)
    assert (failed.error.code, failed.output.status) == ("refused", RunStatus.error)


def test_a_cancelled_run_ends_its_stream(runtime: Runtime, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    agent = speaking([["One ", gate, "two."]])
    stream = agent.run("Hi", stream=True)
    agent.cancel_run(next(stream).run_id)
    *_, cancelled = stream
    gate.touch()
    assert isinstance(cancelled, RunCancelled)


def test_a_stream_is_its_owners(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    *_, done = agent.run("Hi", user_id="ann", stream=True)
    assert isinstance(done, RunCompleted)
    for stranger in ("eve", None):
        with pytest.raises(NotAllowed):
            agent.stream_run(done.run_id, user_id=stranger)
        with pytest.raises(NotAllowed):
            agent.run("Hi", session_id=done.session_id, user_id=stranger, stream=True)
        with pytest.raises(NotAllowed):
            agent.continue_run(done.run_id, user_id=stranger, stream=True)
    with pytest.raises(NotFound):
        agent.stream_run("no-such-run")
    assert nothing_is_kept(runtime)


class Weather(BaseModel):
    degrees: int


def test_a_structured_answer_is_an_object_at_the_end(runtime: Runtime) -> None:
    agent = scripted([Weather(degrees=3)], output_schema=Weather)
    events = list(agent.run("Hi", stream=True))
    done = events[-1]
    assert isinstance(done, RunCompleted)
    assert done.output.content == Weather(degrees=3)
    assert text_of(events) == '{"degrees":3}'


def test_a_run_in_the_background_is_read_by_whoever_comes(
    runtime_on_each: Runtime, tmp_path: Path
) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]

    @tool
    def look() -> str:
        """Look."""
        return "seen"

    agent = speaking([[gates[0], "One.", Call("look")], ["Two ", gates[1], "three."]], [look])
    run_id = agent.run("Hi", background=True).run_id
    model = agent.model
    assert isinstance(model, Speaking)
    wait_until(lambda: model.streamed)
    stream = agent.stream_run(run_id)
    assert next(stream).kind == "run_started"
    gates[0].touch()
    live = next(event for event in stream if isinstance(event, RunContent) and event.attempt)
    assert live.content == "Two "
    gates[1].touch()
    assert text_of(stream) == "three."
    assert model.streamed == [False, True]


def test_the_time_to_the_first_word_is_kept(runtime: Runtime, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    agent = speaking([["One ", gate, "two."]])
    began = time.monotonic()
    stream = agent.run("Hi", stream=True)
    run_id = next(stream).run_id
    first = time.monotonic()
    # The rest of the answer takes at least as long as everything before it.
    wait_until(lambda: time.monotonic() - first > first - began)
    gate.touch()
    list(stream)
    streamed = row_of(runtime, run_id).first_token_seconds
    assert streamed is not None
    assert 0 <= streamed <= first - began
    whole = row_of(runtime, agent.run("Hi").run_id).first_token_seconds
    assert whole is not None
    assert whole > 0


def test_a_reader_that_does_not_read_holds_nothing_up(runtime: Runtime) -> None:
    words = [f"{number} " for number in range(50_000)]
    agent = speaking([words])
    run_id = new_id()
    stream = agent.run("Hi", stream=True, run_id=run_id)
    wait_until(lambda: agent.get_run_output(run_id).status is RunStatus.completed, timeout=30)
    wait_until(lambda: runtime.services.db.broadcaster.size == (1, 0))
    events = list(stream)
    assert text_of(events) == "".join(words)
    assert len(events) == 2


def test_the_same_run_is_streamed_to_whoever_asks_again(runtime: Runtime) -> None:
    agent, run_id = scripted(["Hello there."]), new_id()
    agent.run("Hi", run_id=run_id)
    for _ in range(2):
        assert text_of(agent.run("Hi", run_id=run_id, stream=True)) == "Hello there."


def test_what_makes_no_sense_together_is_refused(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    with pytest.raises(InvalidInput, match="pass both"):
        agent.run("Hi", stream_events=True)  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match="choose one"):
        agent.run("Hi", stream=True, background=True)


@pytest.mark.parametrize("protocol", [OpenAIResponses, OpenAIChat])
def test_text_of_a_real_server_is_streamed(
    runtime: Runtime, protocol: type[OpenAIResponses | OpenAIChat]
) -> None:
    with ModelServer([[Call("refund", order_id="1")], "The refund is on its way."]) as server:
        model = protocol(id="m", base_url=server.base_url, api_key="none")
        agent = Agent(id=f"agent-{new_id()}", model=model, tools=[refund])
        *_, paused = agent.run("Refund 1", stream=True)
        assert isinstance(paused, RunPaused)
        paused.requirements[0].confirm(by="dana")
        requirements = paused.output.requirements
        events = list(agent.continue_run(paused.run_id, requirements, stream=True))
    assert text_of(events) == "The refund is on its way."
    assert [asked.body.get("stream") for asked in server.requests] == [True, True]
    assert any(isinstance(event, RunContent) and event.attempt == 1 for event in events)


def test_many_read_one_run(runtime_on_each: Runtime, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    agent = speaking([["One ", gate, "two."]])
    first = agent.run("Count", stream=True)
    run_id = next(first).run_id
    others = [agent.stream_run(run_id) for _ in range(5)]
    shown = [
        list(itertools.takewhile(lambda event: not isinstance(event, RunContent), stream))
        for stream in others
    ]
    assert len(shown) == 5
    gate.touch()
    assert [list(stream)[-1].kind for stream in [first, *others]] == ["run_completed"] * 6


def test_a_copied_run_is_read_to_its_end(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    done = agent.run("Hi")
    fork_id = agent.fork_session(done.session_id)
    (copy,) = runtime.services.db.read_now(lambda tx: records.latest_runs(tx, fork_id, 9))
    (end,) = agent.stream_run(copy.run_id)
    assert isinstance(end, RunCompleted)
    assert end.output.content == "Hello."


def test_a_number_that_no_event_has_had_is_refused(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    done = agent.run("Hi")
    with pytest.raises(InvalidInput, match="after is 500, but the last event"):
        list(agent.stream_run(done.run_id, after=500))
