"""What has begun, what has not, and what people are asked about the difference."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.components.registry import Registry
from kern.context.chat_history import PastRun
from kern.db.engine.stores import SqliteStore
from kern.db.steps.reader import StoredReader
from kern.errors import StillRunning, Unavailable
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.run import RunOutput
from kern.tools import tool
from kern.values.states import RequirementKind, RunStatus, ToolCallStatus
from kern.workflow import Step, StepInput, Workflow
from tests.conftest import running
from tests.support.agents import Ledger, held, scripted
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until


def all_have_calls(agent: Agent, run_ids: list[str]) -> bool:
    return all(agent.get_run_output(run_id).tools for run_id in run_ids)


@pytest.mark.usefixtures("narrow")
def test_a_call_that_waits_for_a_place_has_not_begun(ledger: Ledger) -> None:
    free = threading.Event()
    busy = scripted([Call("work"), "Done."], [held(ledger, free)])

    @tool(timeout=1)
    def pay() -> str:
        ledger.add("paid")
        return "paid"

    payer = scripted([Call("pay"), "Paid."], [pay])
    busy.run("Work", background=True)
    wait_until(lambda: ledger.lines == ["began"])
    waiting, stopped = (payer.run("Pay", background=True) for _ in range(2))

    wait_until(partial(all_have_calls, payer, [waiting.run_id, stopped.run_id]))
    # Longer than its timeout: its clock has not started.
    threading.Event().wait(1.5)
    for run_id in (waiting.run_id, stopped.run_id):
        [call] = payer.get_run_output(run_id).tools
        assert (call.status, call.attempts) == (ToolCallStatus.waiting, 0)
    payer.cancel_run(stopped.run_id)
    free.set()
    assert payer.continue_run(waiting.run_id).content == "Paid."
    assert ledger.lines == ["began", "paid"]
    assert payer.get_run_output(stopped.run_id).status is RunStatus.cancelled


def test_a_worker_that_stops_asks_nobody_about_what_waits_for_a_place(
    settings: Settings, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, registry, accepted = threading.Event(), Registry(), list[str]()
    few = settings.model_copy(update={"tool_slots": 1, "shutdown_grace_seconds": 0.5})

    @tool
    def pay() -> str:
        ledger.add("paid")
        return "paid"

    @tool(effect="read")
    def work() -> str:
        ledger.add("began")
        free.wait()
        return "done"

    busy = scripted([Call("work"), "Done."], [work])
    payer = scripted([Call("pay"), "Paid."], [pay])
    path = tmp_path / "kern.db"
    for _ in running(Runtime(few, sqlite_with_tables(path), registry), monkeypatch):
        busy.run("Work", background=True)
        wait_until(lambda: ledger.lines == ["began"])
        accepted += [payer.run("Pay", background=True).run_id for _ in range(5)]
        wait_until(partial(all_have_calls, payer, accepted))
    free.set()
    ended: list[RunOutput] = []
    for _ in running(Runtime(settings, SqliteStore(path), registry), monkeypatch):
        ended += [payer.continue_run(run_id) for run_id in accepted]
    assert [output.content for output in ended] == ["Paid."] * 5
    assert [requirement for output in ended for requirement in output.requirements] == []
    assert ledger.lines.count("paid") == 5


@pytest.mark.usefixtures("narrow")
def test_a_tool_that_waits_for_a_run_leaves_its_place_to_it(ledger: Ledger) -> None:
    @tool
    def note() -> str:
        ledger.add("noted")
        return "noted"

    inner = scripted([Call("note"), "Noted."], [note])

    @tool
    def ask() -> str:
        return str(inner.run("Note it").content)

    @tool
    async def ask_async() -> str:
        return str((await inner.arun("Note it")).content)

    outer = scripted([[Call("ask"), Call("ask"), Call("ask_async")], "Asked."], [ask, ask_async])
    assert outer.run("Ask").content == "Asked."
    assert ledger.lines == ["noted"] * 3


@pytest.mark.usefixtures("narrow")
def test_a_step_that_waits_for_a_run_leaves_its_place_to_it(ledger: Ledger) -> None:
    @tool
    def note() -> str:
        ledger.add("noted")
        return "noted"

    inner = scripted([Call("note"), "Noted."], [note])

    def ask(step_input: StepInput) -> str:
        return str(inner.run("Note it").content)

    steps = [Step(name="first", executor=ask), Step(name="second", executor=ask)]
    assert Workflow(id="asks", steps=steps).run("Ask").content == "Noted."
    assert ledger.lines == ["noted"] * 2


@pytest.mark.usefixtures("runtime")
def test_a_call_past_its_timeout_is_shown_as_what_it_is(ledger: Ledger) -> None:
    free = threading.Event()

    @tool(timeout=0.2)
    def pay() -> str:
        ledger.add("begun")
        free.wait()
        return "paid"

    agent = scripted([Call("pay"), "Paid."], [pay])
    paused = agent.run("Pay")
    [requirement] = paused.active_requirements
    assert requirement.kind is RequirementKind.unknown_outcome
    assert requirement.attempt is not None
    assert requirement.attempt.is_executing
    assert "still executing in worker" in requirement.attempt.sentence
    with pytest.raises(StillRunning, match="still executing"):
        agent.continue_run(paused.run_id, [requirement.run_again(by="dana")])
    # Its end answers the question.
    free.set()
    wait_until(lambda: agent.get_run_output(paused.run_id).content == "Paid.")
    assert ledger.lines == ["begun"]


@pytest.mark.usefixtures("runtime")
def test_a_call_whose_arguments_are_being_checked_has_not_begun(ledger: Ledger) -> None:
    """A validator that blocks holds up nothing else, and what was cancelled never begins."""
    blocks, checking, free = threading.Event(), threading.Event(), threading.Event()

    def check(amount: int) -> int:
        if blocks.is_set():
            checking.set()
            free.wait(30)
        return amount

    @tool(requires_confirmation=True)
    def pay(amount: Annotated[int, AfterValidator(check)]) -> str:
        ledger.add("paid")
        return f"paid {amount}"

    payer, other = scripted([Call("pay", amount=100), "Paid."], [pay]), scripted(["Hello."])
    run = payer.run("Pay")
    [requirement] = run.active_requirements
    requirement.confirm(by="dana")
    blocks.set()
    with ThreadPoolExecutor(1) as thread:
        continued = thread.submit(payer.continue_run, run.run_id, requirements=[requirement])
        assert checking.wait(20)
        assert other.run("Hello").content == "Hello."
        payer.cancel_run(run.run_id)
        free.set()
        assert continued.result(20).status is RunStatus.cancelled
    stopped = payer.get_run_output(run.run_id)
    assert stopped.status is RunStatus.cancelled
    assert [(call.outcome, call.attempts) for call in stopped.tools] == [("cancelled", 0)]
    # A run after it has the worker's loop, and the attempt of before has ended.
    assert other.run("Hello").content == "Hello."
    assert ledger.lines == []


@pytest.mark.usefixtures("runtime")
def test_a_step_whose_input_cannot_be_read_has_not_begun(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pay(step_input: StepInput) -> str:
        ledger.add(f"paid after {len(step_input.history)} runs")
        return "paid"

    workflow = Workflow(
        id="reads-history",
        steps=[Step(name="pay", executor=pay)],
        add_workflow_history_to_steps=True,
    )
    session_id = workflow.run("First").session_id
    read, failures = StoredReader.workflow_history, [Unavailable("The database does not answer.")]

    def read_later(self: StoredReader, count: int) -> Sequence[PastRun]:
        if failures:
            raise failures.pop()
        return read(self, count)

    monkeypatch.setattr(StoredReader, "workflow_history", read_later)
    output = workflow.run("Second", session_id=session_id)
    assert (output.status, output.requirements) == (RunStatus.completed, [])
    assert ledger.lines == ["paid after 0 runs", "paid after 1 runs"]
