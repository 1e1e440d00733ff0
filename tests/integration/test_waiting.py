"""Who waits for a run hears of its stop in this process, and from Temporal what it cannot hear."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.client.service import waiting as waiting_module
from kern.models.scripted import Call
from kern.tools import RunContext, tool
from kern.values.states import RunStatus, ToolOutcome
from tests.support.agents import Ledger, held, scripted
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of

_ASKED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED


def _events(runtime: Runtime, run_id: str) -> list[EventType.ValueType]:
    handle = handle_of(runtime, run_id)
    return [event.event_type for event in runtime.call(lambda _: handle.fetch_history()).events]


@tool(requires_confirmation=True)
def refund(order_id: str) -> str:
    """Pay the customer back."""
    return f"refunded {order_id}"


def test_what_this_process_executes_it_waits_for_without_asking_temporal(runtime: Runtime) -> None:
    # However slow the machine is.
    runtime.services.waiting.listen(60)
    agent = scripted([Call("refund", order_id="1042"), "Done."], [refund])
    paused = agent.run("Refund order 1042")
    paused.active_requirements[0].confirm(by="dana")
    ended = agent.continue_run(paused.run_id, paused.requirements)
    assert ended.status is RunStatus.completed
    assert _ASKED not in _events(runtime, paused.run_id)


def test_what_is_not_heard_in_time_is_asked_of_the_workflow(
    runtime: Runtime, ledger: Ledger
) -> None:
    free = threading.Event()

    def let_go() -> None:
        wait_until(lambda: ledger.lines)
        (run_id,) = runs
        wait_until(lambda: _ASKED in _events(runtime, run_id))
        free.set()

    agent = scripted([Call("work"), "Done."], [held(ledger, free)])
    runs = [agent.run("Work", background=True).run_id]
    helper = threading.Thread(target=let_go)
    helper.start()
    assert agent.continue_run(runs[0], []).content == "Done."
    helper.join()


def test_however_many_wait_for_a_run_its_workflow_is_asked_once(
    runtime: Runtime, ledger: Ledger
) -> None:
    free = threading.Event()
    agent = scripted([Call("work"), "Done."], [held(ledger, free)])
    run_id = agent.run("Work", background=True).run_id

    async def wait_for_all() -> list[object]:
        waiting = [asyncio.create_task(agent.acontinue_run(run_id, [])) for _ in range(25)]
        await asyncio.to_thread(wait_until, lambda: _ASKED in _events(runtime, run_id))
        free.set()
        return [output.content for output in await asyncio.gather(*waiting)]

    runtime.services.waiting.listen(0)
    assert asyncio.run(wait_for_all()) == ["Done."] * 25
    assert _events(runtime, run_id).count(_ASKED) == 1


def test_a_run_that_is_asked_for_again_after_its_end_is_answered_at_once(runtime: Runtime) -> None:
    runtime.services.waiting.listen(60)
    agent = scripted(["Hello."])
    first = agent.run("Hi", run_id="the-run", session_id="the-session")
    again = agent.run("Hi", run_id="the-run", session_id="the-session")
    assert (again.run_id, again.content) == (first.run_id, "Hello.")


def test_one_of_two_decisions_that_lets_nothing_run_is_answered_at_once(runtime: Runtime) -> None:
    runtime.services.waiting.listen(60)
    calls = [Call("refund", order_id="1"), Call("refund", order_id="2")]
    agent = scripted([calls, "Done."], [refund])
    paused = agent.run("Refund both")
    first, second = paused.active_requirements
    first.reject("No.", by="dana")
    still = agent.continue_run(paused.run_id, [first])
    assert still.is_paused
    assert [item.id for item in still.active_requirements] == [second.id]
    second.confirm(by="dana")
    assert agent.continue_run(paused.run_id, [second]).content == "Done."


def test_a_process_that_ends_lets_the_workflow_of_its_last_run_end_before(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is.
    monkeypatch.setattr(waiting_module, "_CLOSES_WITHIN_SECONDS", 60.0)
    agent = scripted(["Hello."])
    services = runtime.services

    async def run_and_settle() -> list[WorkflowExecutionStatus | None]:
        runs = await asyncio.gather(*(agent.arun("Hi") for _ in range(20)))
        await services.waiting.settle()
        handles = [await services.courier.handle(run.run_id) for run in runs]
        return [found.status for found in await asyncio.gather(*(h.describe() for h in handles))]

    assert set(runtime.call(lambda _: run_and_settle())) == {WorkflowExecutionStatus.COMPLETED}


async def by_continuing(agent: Agent, run: RunContext) -> object:
    return await agent.acontinue_run(run.run_id, user_id=run.user_id)


async def by_continuing_in_a_thread(agent: Agent, run: RunContext) -> object:
    return await asyncio.to_thread(agent.continue_run, run.run_id)


async def by_its_own_id(agent: Agent, run: RunContext) -> object:
    return await agent.arun("Hi", run_id=run.run_id, session_id=run.session_id)


async def by_reading(agent: Agent, run: RunContext) -> object:
    return [event async for event in agent.astream_run(run.run_id)]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    "wait", [by_continuing, by_continuing_in_a_thread, by_its_own_id, by_reading]
)
def test_a_run_that_would_wait_for_itself_is_refused(
    wait: Callable[[Agent, RunContext], Awaitable[object]],
) -> None:
    @tool(effect="read")
    async def look(run_context: RunContext) -> str:
        return str(await wait(agent, run_context))

    agent = scripted([Call("look"), "Done."], [look])
    ended = agent.run("Hi")
    assert ended.content == "Done."
    [call] = ended.tools
    assert call.outcome is ToolOutcome.error
    assert "waits for the code that asks" in (call.result or "")
