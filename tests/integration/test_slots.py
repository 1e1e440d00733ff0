"""Calls that do not end hold up neither deadlines nor models, and are seen."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from temporalio.api.enums.v1 import EventType

from kern.activities.places import Places
from kern.agent import Agent
from kern.client.processes.health import Health
from kern.client.processes.runtime import Runtime
from kern.client.temporal import courier, queue_worker
from kern.client.temporal import workers as workers_module
from kern.models.base import Delta, Model, ModelRequest, ModelResponse
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.run import RunOutput
from kern.tools import Approval, Tool, tool
from kern.values.ids import new_id
from kern.values.states import RunStatus
from kern.workflow import Step, StepInput, Workflow
from tests.conftest import running
from tests.support.agents import Ledger, held, paying, scripted
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until

SOON = Approval(due=timedelta(seconds=1))


@pytest.fixture
def free() -> Iterator[threading.Event]:
    """Lets tools go."""
    event = threading.Event()
    yield event
    event.set()


def runtime_with(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **values: object
) -> Iterator[Runtime]:
    database = sqlite_with_tables(tmp_path / "kern.db")
    changed = settings.model_copy(update=values)
    yield from running(Runtime(changed, database), monkeypatch)


@pytest.fixture
def one_slot(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """A runtime in which each component executes two activities at a time."""
    monkeypatch.setattr(queue_worker, "_SLOTS", 2)
    yield from runtime_with(settings, tmp_path, monkeypatch)


@pytest.fixture
def one_model(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """A runtime that asks one model at a time."""
    yield from runtime_with(settings, tmp_path, monkeypatch, model_slots=1)


def expired(agent: Agent, run_id: str) -> bool:
    return not agent.get_run_output(run_id).active_requirements


def busy(tool: Tool, count: int, *more: Tool) -> Agent:
    """Return an agent that calls a tool so often, or another one as it is asked."""

    def script(request: ModelRequest) -> str | Call | list[Call]:
        if request.messages[-1].role == "tool":
            return "Done."
        name = request.messages[-1].content
        if name == tool.name:
            return [Call(name)] * count
        return Call(name, amount=1) if name in {item.name for item in more} else "Hello."

    return scripted(script, [tool, *more])


def test_a_deadline_takes_effect_while_calls_have_all_slots(
    one_slot: Runtime,
    ledger: Ledger,
    free: threading.Event,
) -> None:
    agent = busy(held(ledger, free), 2, paying(ledger, SOON))
    gated = agent.run("pay")
    assert gated.active_requirements
    agent.run("work", background=True)
    wait_until(lambda: len(ledger.lines) == 2)
    wait_until(lambda: expired(agent, gated.run_id), timeout=20)
    assert not free.is_set()


def test_calls_that_wait_for_a_place_hold_up_no_model(
    narrow: Runtime, ledger: Ledger, free: threading.Event
) -> None:
    agent = busy(held(ledger, free), 110)
    agent.run("work", background=True)
    places = places_of(narrow)
    # One executes, and more wait than a worker has slots by default.
    wait_until(lambda: len(places._queue) == 109)  # pyright: ignore[reportPrivateUsage]
    assert agent.run("Hi").content == "Hello."
    assert ledger.lines == ["began"]


def test_calls_that_find_too_many_waiting_are_executed_later(
    narrow: Runtime,
    ledger: Ledger,
    free: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = busy(held(ledger, free), 4)
    narrow.add(agent)
    places = places_of(narrow)
    monkeypatch.setattr(places, "_longest_queue", 1)
    run_id = agent.run("work", background=True).run_id
    wait_until(lambda: ledger.lines)
    free.set()
    wait_until(lambda: agent.get_run_output(run_id).content == "Done.")
    assert ledger.lines == ["began"] * 4
    # That is no error.
    assert "activity_broke" not in caplog.text


def test_a_run_of_an_older_worker_keeps_its_deadline(
    runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its workflow does not know of another queue than its own.
    monkeypatch.setattr(courier, "bookkeeping_queue_of", lambda _prefix: None)
    agent = scripted([Call("pay", amount=1), "No."], [paying(ledger, SOON)])
    run_id = agent.run("Pay").run_id
    wait_until(lambda: expired(agent, run_id))
    assert queues_of(runtime, run_id)["expire"] == f"kern-{agent.id}"


def test_deadlines_have_a_queue_that_all_processes_of_an_installation_share(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=1), "No."], [paying(ledger, SOON)])
    run_id = agent.run("Pay").run_id
    wait_until(lambda: agent.get_run_output(run_id).content == "No.")
    prefix = runtime.services.db.workflow_prefix
    assert prefix is not None
    assert queues_of(runtime, run_id) == {
        "model_turn": f"kern-{agent.id}",
        "expire": f"{prefix}bookkeeping",
        "tool_call": f"kern-{agent.id}",
    }


def test_a_model_that_blocks_stops_nothing_else(
    runtime: Runtime,
    free: threading.Event,
) -> None:
    begun = threading.Event()

    class Slow(Model):
        def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:  # noqa: ARG002
            begun.set()
            free.wait()
            return ModelResponse(content="At last.", provider="test")

    slow = Agent(id=f"slow-{new_id()}", model=Slow())
    run_id = slow.run("Hi", background=True).run_id
    assert begun.wait(30)
    started_at = time.monotonic()
    assert scripted(["Hello."]).run("Hi").content == "Hello."
    assert time.monotonic() - started_at < 20
    free.set()
    wait_until(lambda: slow.get_run_output(run_id).content == "At last.")


def test_a_tool_has_no_place_of_the_models(
    one_model: Runtime,
    ledger: Ledger,
    free: threading.Event,
) -> None:
    @tool
    def note() -> str:
        """Note."""
        ledger.add("noted")
        assert free.wait(30)
        return "noted"

    def hello(_request: ModelRequest) -> str:
        return "Hello."

    agent, second = scripted([Call("note"), "Done."], [note]), scripted(hello)
    first_id = agent.run("Hi", background=True).run_id
    wait_until(lambda: ledger.lines)
    # The tool has no model's place.
    assert second.run("Hi").content == "Hello."
    free.set()
    wait_until(lambda: agent.get_run_output(first_id).content == "Done.")


async def test_calls_that_do_not_end_make_a_worker_unready_by_name(
    narrow: Runtime,
    ledger: Ledger,
    free: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(workers_module, "_BLOCKED_AFTER", timedelta(seconds=0.2))
    caplog.set_level("WARNING", logger="kern.worker")
    agent = busy(held(ledger, free), 3)
    output = await agent.arun("work", background=True)
    health = Health()
    health.workers = workers_of(narrow)
    await until(lambda: "places_blocked" in caplog.text)
    parts = await health.parts()
    assert parts["tools"].startswith("all 1 places are taken")
    assert "work since 20" in parts["tools"]
    assert "KERN_TOOL_SLOTS" in parts["tools"]
    assert "models" not in parts
    free.set()
    await until(lambda: "places_free_again" in caplog.text)
    assert "tools" not in await health.parts()
    await until(lambda: is_done(agent, output))


@pytest.mark.parametrize("effect", ["read", "once"])
def test_a_call_that_outlives_its_timeout_keeps_its_place(
    narrow: Runtime, ledger: Ledger, free: threading.Event, effect: Literal["read", "once"]
) -> None:
    @tool(effect=effect, timeout=0.1)
    def work() -> str:
        """Work until it is let go."""
        ledger.add("began")
        free.wait()
        return "done"

    agent = busy(work, 1)
    # It has timed out: the model or a person is told.
    assert agent.run("work").status in {RunStatus.completed, RunStatus.paused}
    second = agent.run("work", background=True)
    wait_until(lambda: is_queued(narrow))
    assert ledger.lines == ["began"]
    free.set()
    wait_until(lambda: is_done(agent, second))
    assert ledger.lines == ["began", "began"]


def test_a_call_that_outlives_its_run_keeps_its_place(
    narrow: Runtime, ledger: Ledger, free: threading.Event
) -> None:
    agent = busy(held(ledger, free), 1)
    first = agent.run("work", background=True)
    wait_until(lambda: ledger.lines)
    agent.cancel_run(first.run_id)
    second = agent.run("work", background=True)
    wait_until(lambda: is_queued(narrow))
    assert ledger.lines == ["began"]
    free.set()
    wait_until(lambda: is_done(agent, second))


def test_a_step_that_outlives_its_timeout_keeps_its_place(
    narrow: Runtime, ledger: Ledger, free: threading.Event
) -> None:
    def work(step_input: StepInput) -> str:
        ledger.add(f"{step_input.input} began")
        free.wait()
        return "done"

    def note(step_input: StepInput) -> str:
        ledger.add(f"{step_input.input} noted")
        return "noted"

    hung = Step("work", work, effect="read", timeout=0.1, on_error="skip")
    workflow = Workflow(id=f"held-{new_id()}", steps=[hung, Step("note", note)])
    run = workflow.run("first", background=True)
    # The step is given up, and the next one finds no place.
    wait_until(lambda: is_queued(narrow))
    assert ledger.lines == ["first began"]
    free.set()
    wait_until(lambda: workflow.get_run_output(run.run_id).status is RunStatus.completed)
    assert ledger.lines == ["first began", "first noted"]


def is_queued(runtime: Runtime) -> bool:
    """Whether an attempt waits for a place."""
    return bool(places_of(runtime)._queue)  # pyright: ignore[reportPrivateUsage]


def is_done(agent: Agent, output: RunOutput) -> bool:
    return agent.get_run_output(output.run_id).content == "Done."


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition)


def places_of(runtime: Runtime) -> Places:
    workers = workers_of(runtime)
    return workers._executions.places  # pyright: ignore[reportPrivateUsage]


def workers_of(runtime: Runtime) -> workers_module.ComponentWorkers:
    workers = runtime._workers  # pyright: ignore[reportPrivateUsage]
    assert workers is not None
    return workers


def queues_of(runtime: Runtime, run_id: str) -> dict[str, str]:
    """Return the queue of each kind of activity of a run."""

    async def read(_service: object) -> dict[str, str]:
        history = await (await runtime.services.courier.handle(run_id)).fetch_history()
        scheduled = [
            event.activity_task_scheduled_event_attributes
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        ]
        return {item.activity_type.name: item.task_queue.name for item in scheduled}

    return runtime.call(read)
