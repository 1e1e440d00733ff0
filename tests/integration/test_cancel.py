"""Cancelling a run: stored before it is acknowledged, and nothing new begins after it."""

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import Session

from kern.client.processes.runtime import Runtime
from kern.client.service.waiting import Waiting
from kern.contracts.viewer import OPERATOR
from kern.db.journal import outbox
from kern.db.runs import lifecycle
from kern.errors import AlreadyResolved
from kern.models.scripted import Call
from kern.tools import tool
from kern.values.states import RunStatus, ToolCallStatus, ToolOutcome
from tests.support.agents import Ledger, held, scripted
from tests.support.model_server import ModelServer
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of


def test_a_paused_run_is_cancelled_with_its_requirements(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    @tool(requires_confirmation=True)
    def pay() -> None:
        """Pay."""
        ledger.add("paid")

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")

    cancelled = agent.cancel_run(paused.run_id)

    assert cancelled.status is RunStatus.cancelled
    assert [r.status for r in cancelled.requirements] == ["cancelled"]
    assert cancelled.tools[0].outcome is ToolOutcome.cancelled
    with pytest.raises(AlreadyResolved, match="is cancelled"):
        agent.continue_run(paused.run_id, [paused.requirements[0].confirm()])
    assert agent.cancel_run(paused.run_id) == cancelled, "once more is no error"
    assert ledger.lines == []


def test_whoever_waits_for_a_run_hears_that_it_was_cancelled(runtime: Runtime) -> None:
    with ModelServer(["too late"]) as server:
        from kern.models.openai import OpenAIResponses

        stall = server.stall()
        agent = scripted(["unused"])
        agent.model = OpenAIResponses(id="m", base_url=server.base_url)
        accepted = agent.run("Hi", background=True)
        stall.arrived.wait()
        heard: list[RunStatus] = []
        waiting = threading.Thread(
            target=lambda: heard.append(agent.continue_run(accepted.run_id).status)
        )
        waiting.start()

        cancelled = agent.cancel_run(accepted.run_id)
        waiting.join()
        stall.release()

    assert cancelled.status is RunStatus.cancelled
    assert heard == [RunStatus.cancelled]
    assert agent.get_run_output(accepted.run_id).content is None


@pytest.mark.parametrize("is_async", [True, False])
def test_a_call_with_an_effect_is_let_end_and_what_it_did_is_kept(
    runtime: Runtime, ledger: Ledger, tmp_path: Path, *, is_async: bool
) -> None:
    gate = tmp_path / "gate"

    def pay() -> str:
        """Pay."""
        ledger.add("began")
        wait_until(gate.exists)
        ledger.add("ended")
        return "paid"

    async def pay_async() -> str:
        """Pay."""
        return pay()

    function = pay_async if is_async else pay
    agent = scripted([Call(function.__name__), "Done."], [function])
    accepted = agent.run("Pay", background=True)
    wait_until(lambda: ledger.lines == ["began"])

    assert agent.cancel_run(accepted.run_id).status is RunStatus.cancelled
    gate.touch()

    def call_is_done() -> bool:
        return agent.get_run_output(accepted.run_id).tools[0].status is ToolCallStatus.done

    wait_until(call_is_done)
    output = agent.get_run_output(accepted.run_id)
    assert output.tools[0].result == "paid"
    assert output.status is RunStatus.cancelled
    assert ledger.lines == ["began", "ended"]
    assert output.metrics.model_calls == 1


def test_a_call_that_only_reads_is_stopped(runtime: Runtime, ledger: Ledger) -> None:
    @tool(effect="read")
    async def read() -> str:
        """Read for ever."""
        import asyncio

        ledger.add("began")
        try:
            await asyncio.Event().wait()
        finally:
            ledger.add("stopped")
        return "never"

    agent = scripted([Call("read"), "Done."], [read])
    accepted = agent.run("Read", background=True)
    wait_until(lambda: ledger.lines == ["began"])

    agent.cancel_run(accepted.run_id)

    wait_until(lambda: ledger.lines == ["began", "stopped"])
    wait_until(
        lambda: agent.get_run_output(accepted.run_id).tools[0].outcome is ToolOutcome.cancelled
    )


def test_whoever_waits_hears_from_the_row_what_the_workflow_does_not_know(
    runtime: Runtime, ledger: Ledger
) -> None:
    free = threading.Event()
    agent = scripted([Call("work"), "Done."], [held(ledger, free)])
    accepted = agent.run("Work", background=True)
    wait_until(lambda: ledger.lines == ["began"])

    def cancel_untold(tx: Session) -> None:
        lifecycle.cancel(tx, accepted.run_id, OPERATOR, datetime.now(UTC))
        outbox.forget(tx, accepted.run_id)

    services = runtime.services
    services.db.write_now(cancel_untold)
    waiting = Waiting(services.db, services.temporal, look_again=0.1)

    async def wait() -> None:
        with waiting.watch(accepted.run_id) as watch:
            await waiting.stop(accepted.run_id, watch)

    runtime.call(lambda _: wait())
    assert ledger.lines == ["began"]
    free.set()


@pytest.mark.parametrize("effect", ["once", "read"])
def test_cancelling_in_the_middle_of_a_call_prints_nothing(
    runtime: Runtime, ledger: Ledger, caplog: pytest.LogCaptureFixture, effect: str
) -> None:
    caplog.set_level(logging.DEBUG, "temporalio")
    gone = threading.Event()

    async def work() -> str:
        """Work until the cancellation has come."""
        import asyncio

        ledger.add("began")
        try:
            await asyncio.to_thread(gone.wait, 60)
        except asyncio.CancelledError:
            ledger.add("stopped")
            raise
        return "done"

    agent = scripted([Call("work"), "Done."], [tool(effect=effect)(work)])  # type: ignore[call-overload]
    accepted = agent.run("Work", background=True)
    wait_until(lambda: ledger.lines == ["began"])
    agent.cancel_run(accepted.run_id)
    if effect == "read":
        wait_until(lambda: ledger.lines == ["began", "stopped"])
    else:
        wait_until(lambda: "Cancelling activity" in caplog.text)
    gone.set()
    # Whatever executes has ended, and said what it has to say, when this returns.
    runtime.close()
    said = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert not said, said


def test_a_workflow_that_is_cancelled_in_temporal_cancels_its_run(runtime: Runtime) -> None:
    @tool(requires_confirmation=True)
    def pay() -> None:
        """Pay."""

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")

    handle = handle_of(runtime, paused.run_id)
    runtime.call(lambda _: handle.cancel())

    wait_until(lambda: agent.get_run_output(paused.run_id).status is RunStatus.cancelled)
    assert agent.get_run_output(paused.run_id).active_requirements == []
