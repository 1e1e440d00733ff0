"""What callers give that makes no sense is refused alike on every database, sync and async."""

import asyncio
import base64
import json
from collections.abc import Callable
from functools import partial

import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.errors import InvalidInput
from kern.models.base import Delta, Model, ModelRequest, ModelResponse
from kern.run import RequestedCall, RunOutput
from kern.tools import tool
from kern.values.ids import new_id
from tests.support.agents import scripted

NUMBERS: list[object] = ["x", "1", 10**30, 10**5000, 1.5, float("nan"), -1, True, [1]]
BAD_IDS = ["a\0b", "a\ud800b", "\n", "", " ", "x" * 241]


def cursor(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


CURSORS = [
    cursor("0001-01-01T00:00:00+14:00", "P"),
    cursor("9999-12-31T23:59:59-14:00", "P"),
    cursor("2026-01-01T00:00:00+00:00", "a\0b"),
    cursor("2026-01-01T00:00:00+00:00", "\ud800"),
    cursor("2026-01-01T00:00:00+00:00", 5),
    "a\0b",
    "\ud800",
]


def number_paths(agent: Agent, run: RunOutput, given: object) -> list[Callable[[], object]]:
    value: int = given  # type: ignore[assignment]
    session_id = run.session_id

    async def first_event() -> object:
        return await anext(agent.astream_run(run.run_id, after=value))

    return [
        lambda: list(agent.stream_run(run.run_id, after=value)),
        lambda: asyncio.run(first_event()),
        lambda: agent.get_sessions(limit=value),
        lambda: asyncio.run(agent.aget_sessions(limit=value)),
        lambda: agent.get_chat_history(session_id, limit=value),
        lambda: asyncio.run(agent.aget_chat_history(session_id, limit=value)),
        lambda: agent.get_session_messages(session_id, limit=value),
        lambda: asyncio.run(agent.aget_session_messages(session_id, limit=value)),
    ]


def id_paths(agent: Agent, run: RunOutput, given: str) -> list[Callable[[], object]]:
    return [
        lambda: agent.get_session(given),
        lambda: agent.get_chat_history(given),
        lambda: agent.update_session_state(given, {"a": 1}),
        lambda: agent.get_session_metrics(given),
        lambda: agent.set_session_name(given, "Name"),
        lambda: agent.fork_session(given),
        lambda: agent.fork_session(run.session_id, run_id=given),
        lambda: agent.delete_session(given),
        lambda: agent.get_file(given),
        lambda: agent.get_sessions(user_id=given),
        lambda: agent.get_session(run.session_id, user_id=given),
        lambda: agent.get_run_output(given),
        lambda: agent.continue_run(given),
        lambda: agent.cancel_run(given),
        lambda: list(agent.stream_run(given)),
        lambda: agent.run("Hi", session_id=given),
        lambda: agent.run("Hi", user_id=given),
        lambda: agent.run("Hi", run_id=given),
    ]


OPTIONS: list[tuple[str, object]] = [
    ("session_id", b"abc"),
    ("session_state", {"a": (1, 2)}),
    ("session_state", {"a": 10**5000}),
    ("metadata", {1: 2}),
    ("on_busy", "often"),
]


def run_with(agent: Agent, option: str, value: object) -> object:
    return agent.run("Hi", **{option: value})  # type: ignore[call-overload]


def test_numbers_ids_and_cursors_that_are_none_are_refused(runtime_on_each: Runtime) -> None:
    agent = scripted(["Hello."])
    run = agent.run("Hi")
    paths: list[Callable[[], object]] = [
        *(one for given in NUMBERS for one in number_paths(agent, run, given)),
        *(one for given in BAD_IDS for one in id_paths(agent, run, given)),
        *(partial(agent.get_sessions, cursor=given) for given in CURSORS),
        lambda: list(agent.stream_run(run.run_id, after=None)),  # type: ignore[arg-type]
        lambda: agent.get_sessions(limit=None),  # type: ignore[arg-type]
        *(partial(run_with, agent, name, value) for name, value in OPTIONS),
    ]
    for path in paths:
        with pytest.raises(InvalidInput) as refused:
            path()
        assert "validation error" not in str(refused.value)
        assert "\n" not in str(refused.value)
    assert agent.get_chat_history(run.session_id, limit=1)[0].content == "Hello."
    assert list(agent.stream_run(run.run_id, after=1))


class Raw(Model):
    """A model of somebody's own, which cleans nothing."""

    id = "raw"

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:
        if on_delta is not None:
            on_delta("a\0b\ud800")
        asked = len(request.messages) == 1
        call = RequestedCall(id="c\0", name="look", arguments='{"at": "\ud800"}')
        return ModelResponse(
            content="a\0b\ud800",
            provider="r\0w",
            items=[{"k\0": "\ud800"}],
            tool_calls=[call] if asked else [],
        )


def test_what_a_model_of_somebodys_own_says_is_cleaned(runtime_on_each: Runtime) -> None:
    @tool(effect="read")
    def look(at: str) -> str:
        """Look."""
        return f"saw {at}"

    agent = Agent(id=f"raw-{new_id()}", model=Raw(), tools=[look])
    output = agent.run("Hi")
    assert output.content == "a\ufffdb?"
    assert output.tools[0].result == "saw ?"
    events = list(agent.run("Hi", stream=True))
    assert "".join(one.content for one in events if one.kind == "content") == "a\ufffdb?" * 2
    assert "content_reset" not in [one.kind for one in events]
