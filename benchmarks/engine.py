"""Runs of Kern as in a script: agents with a scripted model, on the embedded runtime."""

import time

from benchmarks.measure import Duration
from kern.agent import Agent
from kern.client.processes.process_runtime import runtime_for
from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call, ScriptedModel
from kern.run import RunOutput
from kern.tools import tool
from kern.values.states import RunStatus


@tool(requires_confirmation=True)
def refund(order_id: str, amount: float) -> str:
    """Pay the customer back."""
    return f"refunded {amount} of {order_id}"


@tool
def look_up(number: int) -> str:
    """Look something up."""
    return f"the answer to {number}"


PLAIN = Agent(id="bench-plain", model=ScriptedModel(["Here is your answer."]))
GATED = Agent(
    id="bench-gated",
    model=ScriptedModel([Call("refund", order_id="1042", amount=40.0), "Done, refunded."]),
    tools=[refund],
)
TALKING = Agent(
    id="bench-talking",
    model=ScriptedModel(["Here is your answer."]),
    add_history_to_context=True,
    num_history_runs=3,
)
# A bound that no measured session reaches.
REMEMBERING = Agent(
    id="bench-remembering",
    model=ScriptedModel(["Here is your answer."]),
    add_history_to_context=True,
    num_history_runs=100_000,
)


def long_agent(turns: int) -> Agent:
    """Return an agent whose run has `turns` turns: a tool call in each, the answer in the last."""
    calls = [Call("look_up", number=number) for number in range(turns - 1)]
    return Agent(id=f"bench-long-{turns}", model=ScriptedModel([*calls, "Done."]), tools=[look_up])


def start_runtime() -> Runtime:
    """Start the embedded runtime with the agents registered."""
    for agent in (PLAIN, GATED, TALKING, REMEMBERING):
        runtime_for(agent)
    return runtime_for(PLAIN)


async def plain() -> Duration:
    """Run an agent without gates once."""
    return await _timed(PLAIN, None)


async def gated() -> Duration:
    """Run an agent with one approval once."""
    started_at = time.perf_counter()
    paused = await GATED.arun("Refund order 1042")
    paused_at = time.perf_counter()
    for requirement in paused.active_requirements:
        requirement.confirm(by="dana")
    output = await GATED.acontinue_run(paused.run_id, paused.requirements)
    ended_at = time.perf_counter()
    _check(output)
    return Duration(output.run_id, paused_at - started_at, ended_at - paused_at)


async def talk(agent: Agent, session_id: str | None) -> Duration:
    """Run one interaction of a session, or the first one of a new session."""
    return await _timed(agent, session_id)


async def list_sessions(user_id: str, limit: int) -> int:
    """List all of a user's sessions, page by page; return how many pages there are."""
    pages, cursor = 0, None
    while pages == 0 or cursor is not None:
        page = await PLAIN.aget_sessions(user_id=user_id, limit=limit, cursor=cursor)
        pages, cursor = pages + 1, page.next_cursor
    return pages


async def _timed(agent: Agent, session_id: str | None) -> Duration:
    started_at = time.perf_counter()
    output = await agent.arun("What is the answer?", session_id=session_id)
    ended_at = time.perf_counter()
    _check(output)
    return Duration(output.run_id, ended_at - started_at)


def _check(output: RunOutput) -> None:
    if output.status is not RunStatus.completed:
        message = f"The run that was measured did not complete: {output!r}"
        raise RuntimeError(message)
