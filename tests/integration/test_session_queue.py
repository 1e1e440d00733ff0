"""Runs of one session go one after another, by themselves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.client.service import missing_worker
from kern.contracts.viewer import OPERATOR
from kern.errors import InvalidInput, SessionBusy
from kern.models.base import ModelRequest
from kern.models.scripted import Call, Step
from kern.process.logs import OnceLog, get_logger
from kern.tools import RunContext, tool
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.agents import Ledger, scripted
from tests.support.cli import Cli
from tests.support.waiting import wait_until

Hop = Callable[[Callable[[], str]], Awaitable[str]]


class Door:
    """An agent whose runs that say "wait" stand before a door until it is opened."""

    def __init__(self, ledger: Ledger) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()

        @tool(effect="read")
        def wait_at_door() -> str:
            """Wait."""
            self.entered.set()
            self.open.wait(60)
            return "opened"

        def script(request: ModelRequest) -> Step:
            said = [message.content for message in request.messages]
            if said[-1] == "wait":
                return Call("wait_at_door")
            ledger.add(" | ".join(said))
            return f"heard {said[-1]}"

        self.agent: Agent = scripted(script, [wait_at_door], add_history_to_context=True)


def test_queued_runs_begin_by_themselves_in_order_and_see_what_came_before(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    door = Door(ledger)
    session_id = new_id()
    first = door.agent.run("wait", session_id=session_id, background=True)
    door.entered.wait(20)
    later = [
        door.agent.run(text, session_id=session_id, background=True) for text in ("two", "three")
    ]
    assert [one.is_queued for one in later] == [True, True]
    assert [one.status for one in later] == [RunStatus.pending] * 2
    assert ledger.lines == []
    door.open.set()
    ended = [door.agent.continue_run(one.run_id) for one in (first, *later)]
    assert [one.content for one in ended] == ["heard opened", "heard two", "heard three"]
    assert [one.number for one in ended] == [1, 2, 3]
    assert "heard opened" in ledger.lines[1]
    assert "heard two" in ledger.lines[2]
    assert not any(one.is_queued for one in ended)


def test_parallel_runs_do_not_wait_and_rejected_ones_are_not_kept(
    runtime: Runtime, ledger: Ledger
) -> None:
    door = Door(ledger)
    session_id = new_id()
    first = door.agent.run("wait", session_id=session_id, background=True)
    door.entered.wait(20)
    with pytest.raises(SessionBusy, match=first.run_id):
        door.agent.run("refused", session_id=session_id, on_busy="reject")
    beside = door.agent.run("beside", session_id=session_id, on_busy="parallel")
    assert beside.content == "heard beside"
    assert beside.number == 2
    door.open.set()
    assert door.agent.continue_run(first.run_id).status is RunStatus.completed


def test_a_run_behind_a_paused_one_does_not_wait(runtime: Runtime) -> None:
    @tool(requires_confirmation=True)
    def refund(order_id: str) -> str:
        """Pay back."""
        return "paid"

    def script(request: ModelRequest) -> Step:
        last = request.messages[-1].content
        return Call("refund", order_id="1") if last == "refund" else f"heard {last}"

    agent = scripted(script, [refund])
    paused = agent.run("refund", session_id=new_id())
    assert paused.is_paused
    assert agent.run("hello", session_id=paused.session_id).content == "heard hello"
    paused.active_requirements[0].confirm(by="dana")
    done = agent.continue_run(paused.run_id, paused.requirements)
    assert done.content == "heard paid"


def test_a_queued_run_may_be_cancelled(runtime: Runtime, ledger: Ledger) -> None:
    door = Door(ledger)
    session_id = new_id()
    first = door.agent.run("wait", session_id=session_id, background=True)
    door.entered.wait(20)
    queued = door.agent.run("never", session_id=session_id, background=True)
    assert door.agent.cancel_run(queued.run_id).status is RunStatus.cancelled
    door.open.set()
    door.agent.continue_run(first.run_id)
    assert door.agent.run("after", session_id=session_id).content == "heard after"
    assert not any(line.endswith("never") for line in ledger.lines)


def test_an_unknown_way_to_be_busy_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InvalidInput, match="sometimes"):
        scripted(["Hi"]).run("Hi", on_busy="sometimes")  # type: ignore[call-overload]


def nesting(inner_id: str, hop: Hop | None = None) -> Agent:
    """Return an agent whose tool runs the agent itself in the same session; by `hop`, if any."""

    def inner(run_context: RunContext) -> str:
        output = agent.run("inner", session_id=run_context.session_id, run_id=inner_id)
        return str(output.content)

    @tool(effect="read", name="nest")
    def directly(run_context: RunContext) -> str:
        """Run the agent."""
        return inner(run_context)

    @tool(effect="read", name="nest")
    async def elsewhere(run_context: RunContext) -> str:
        """Run the agent."""
        assert hop is not None
        return await hop(partial(inner, run_context))

    def script(request: ModelRequest) -> Step:
        last = request.messages[-1].content
        return Call("nest") if last == "outer" else f"heard {last}"

    agent: Agent = scripted(script, [directly if hop is None else elsewhere])
    return agent


@pytest.mark.parametrize("hop", [None, asyncio.to_thread], ids=["directly", "to_thread"])
def test_a_tool_runs_an_agent_in_the_session_of_its_own_run(
    runtime_on_each: Runtime, hop: Hop | None
) -> None:
    del runtime_on_each
    agent = nesting(new_id(), hop)
    outer = agent.run("outer", session_id=new_id(), background=True)
    wait_until(lambda: agent.get_run_output(outer.run_id).status.is_final)
    assert agent.get_run_output(outer.run_id).content == "heard heard inner"


def test_who_waits_for_a_run_behind_one_that_it_does_not_know_as_its_caller_learns_it(
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(missing_worker, "_FIRST_SECONDS", 0.1)
    monkeypatch.setattr(missing_worker, "_log", OnceLog(get_logger(missing_worker.LOGGER)))
    caplog.set_level("WARNING", logger=missing_worker.LOGGER)
    inner_id = new_id()
    monkeypatch.setenv("KERN_DATABASE_URL", f"sqlite:///{tmp_path / 'kern.db'}")
    with ThreadPoolExecutor(1) as threads:

        async def hop(work: Callable[[], str]) -> str:
            return await asyncio.wrap_future(threads.submit(work))

        agent = nesting(inner_id, hop)
        outer = agent.run("outer", session_id=new_id(), background=True)
        try:
            wait_until(lambda: "run_waits_behind" in caplog.text)
            shown = Cli(capsys)("show", inner_id)
            report = runtime.call(lambda service: service.runs.report(OPERATOR, inner_id))
        finally:
            agent.cancel_run(inner_id)
        wait_until(lambda: agent.get_run_output(outer.run_id).status.is_final)
    assert report.waits_behind == outer.run_id
    assert f"waits behind run {outer.run_id}" in shown.out
    (line,) = [item for item in caplog.messages if "run_waits_behind" in item]
    assert outer.run_id in line
    assert "parallel" in line
