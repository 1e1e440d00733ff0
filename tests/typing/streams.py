"""What the type checkers know of streams; nobody runs this."""

from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, assert_type

from kern.agent import Agent
from kern.events import RunContent, RunEvent, RunPaused, RunStop
from kern.requirements import Requirement
from kern.run import RunOutput


def of_a_run(agent: Agent, *, flag: bool) -> None:
    assert_type(agent.run("Hi"), RunOutput)
    assert_type(agent.run("Hi", stream=False, session_id="s"), RunOutput)
    assert_type(agent.run("Hi", stream=True), Generator[RunEvent])
    assert_type(agent.run("Hi", stream=True, stream_events=True), Generator[RunEvent])
    assert_type(agent.continue_run("id"), RunOutput)
    assert_type(agent.continue_run("id", stream=True), Generator[RunEvent])
    # A flag that nobody knows yet.
    assert_type(agent.run("Hi", stream=flag), RunOutput | Generator[RunEvent])
    assert_type(agent.run("Hi", stream=flag, stream_events=flag), RunOutput | Generator[RunEvent])
    assert_type(agent.continue_run("id", stream=flag), RunOutput | Generator[RunEvent])
    assert_type(agent.stream_run("id", after=3), Generator[RunEvent])


async def of_an_asynchronous_run(agent: Agent, *, flag: bool) -> None:
    assert_type(await agent.arun("Hi"), RunOutput)
    assert_type(agent.arun("Hi", stream=True), AsyncGenerator[RunEvent])
    assert_type(await agent.acontinue_run("id"), RunOutput)
    assert_type(agent.acontinue_run("id", stream=True), AsyncGenerator[RunEvent])
    of_a_flag = agent.arun("Hi", stream=flag)
    assert_type(of_a_flag, Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent])
    goes_on = agent.acontinue_run("id", stream=flag)
    assert_type(goes_on, Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent])
    assert_type(agent.astream_run("id"), AsyncGenerator[RunEvent])


def of_an_event(event: RunEvent) -> None:
    if isinstance(event, RunContent):
        assert_type(event.content, str)
    if isinstance(event, RunStop):
        assert_type(event.output, RunOutput)
    if isinstance(event, RunPaused):
        assert_type(event.requirements, list[Requirement])
