"""Sessions as users of an agent see them: read, changed, copied and deleted, while runs go on."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from temporalio.client import WorkflowExecutionStatus

from kern.agent import Agent
from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.client.temporal.connection import queue_of
from kern.contracts.messages import RunCursor
from kern.db import InMemoryDb, SqliteDb
from kern.db.engine.databases import store_of
from kern.db.engine.tables import OutboxRow
from kern.db.journal import verification
from kern.db.runs.deleted import is_deleted
from kern.errors import InvalidDefinition, InvalidInput, NotFound
from kern.models.base import Delta, ModelRequest, ModelResponse
from kern.models.scripted import Call, ScriptedModel
from kern.process import checkpoints
from kern.process.settings import Settings
from kern.session_state import StateChange
from kern.tools import RunContext, tool
from kern.values.ids import new_id
from kern.values.states import Effect, RunStatus
from tests.support.agents import Ledger, scripted
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of


@tool(requires_confirmation=True)
def pay() -> str:
    """Pay."""
    return "paid"


def status_of(runtime: Runtime, run_id: str) -> WorkflowExecutionStatus | None:
    """Return how a run's workflow stands in Temporal."""
    handle = handle_of(runtime, run_id)
    return runtime.call(lambda _: handle.describe()).status


def has_ended(runtime: Runtime, run_id: str) -> Callable[[], bool]:
    return lambda: status_of(runtime, run_id) is not WorkflowExecutionStatus.RUNNING


def test_a_change_of_the_state_whose_commit_nobody_heard_of_is_applied_once(
    runtime_on_each: Runtime,
) -> None:
    agent = scripted(["Hello."])
    session_id = agent.run("Hi").session_id
    db = runtime_on_each.services.db
    wait_until(lambda: not db.read_now(lambda tx: tx.exec(select(OutboxRow)).all()))
    lost = 0

    def lose_the_connection(point: str) -> None:
        nonlocal lost
        if point == "write.after_commit" and lost < 2:
            lost += 1
            raise OperationalError("COMMIT", None, ConnectionError("reset"))

    checkpoints.arm(lose_the_connection)
    try:
        plus = [StateChange(op="increment", key="visits", value=1)]
        assert agent.update_session_state(session_id, plus) == {"visits": 1}
    finally:
        checkpoints.arm(None)
    assert lost == 2
    assert agent.update_session_state(session_id, plus) == {"visits": 2}


def test_the_surface_tells_of_a_session(runtime_on_each: Runtime) -> None:
    def remember(word: str, run_context: RunContext) -> str:
        """Remember a word."""
        run_context.session_state.append("words", word)
        return "ok"

    agent = scripted([Call("remember", word="oak"), "Noted."], [remember])
    run = agent.run("Remember oak", user_id="ann", session_state={"plan": "pro"})
    session, ann = run.session_id, "ann"

    changes = [StateChange(op="increment", key="visits", value=2)]
    agent.update_session_state(session, changes, user_id=ann)
    agent.update_session_state(session, {"plan": "free"}, user_id=ann)
    agent.set_session_name(session, "Words", user_id=ann)

    state = {"plan": "free", "words": ["oak"], "visits": 2}
    found = agent.get_session(session, user_id=ann)
    assert (found.name, found.session_state, found.run_count) == ("Words", state, 1)
    assert agent.get_session_state(session, user_id=ann) == state
    said = agent.get_chat_history(session, user_id=ann)
    assert [m.content for m in said] == ["Remember oak", "Noted."]
    assert [m.role for m in agent.get_session_messages(session, user_id=ann)] == [
        *("user", "assistant", "tool", "assistant")
    ]
    used = agent.get_session_metrics(session, user_id=ann)
    assert (used.run_count, used.model_calls, used.tool_calls) == (1, 2, 1)
    assert used.total_tokens == run.metrics.total_tokens
    assert agent.get_session_summary(session, user_id=ann) is None


def test_every_method_has_an_async_twin_that_does_the_same(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    session = agent.run("Hi", session_state={"a": 1}).session_id
    other = agent.run("Hi").session_id

    async def twins() -> None:
        assert await agent.aupdate_session_state(session, {"b": 2}) == {"a": 1, "b": 2}
        assert (await agent.aset_session_name(session, "Greeting")).name == "Greeting"
        assert await agent.aget_session(session) == agent.get_session(session)
        assert await agent.aget_sessions(limit=1) == agent.get_sessions(limit=1)
        assert await agent.aget_chat_history(session) == agent.get_chat_history(session)
        assert await agent.aget_session_messages(session) == agent.get_session_messages(session)
        assert await agent.aget_session_state(session) == agent.get_session_state(session)
        assert (await agent.aget_session_metrics(session)).run_count == 1
        assert await agent.aget_session_summary(session) is None
        fork = await agent.afork_session(session)
        assert agent.get_session(fork).forked_from == session
        await agent.adelete_session(session)

    asyncio.run(twins())

    with pytest.raises(NotFound):
        agent.get_session(session)
    assert agent.get_session(other).run_count == 1


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_ids_and_names_are_refused_and_not_taken_for_none(
    runtime: Runtime, empty: str
) -> None:
    agent = scripted(["Hello."])
    session = agent.run("Hi").session_id
    refused: dict[str, Callable[[], object]] = {
        "run_id": lambda: agent.run("Hi", run_id=empty),
        "session_id": lambda: agent.run("Hi", session_id=empty),
        "user_id": lambda: agent.run("Hi", user_id=empty),
        "name": lambda: agent.set_session_name(session, empty),
        "run_id of a fork": lambda: agent.fork_session(session, run_id=empty),
    }
    for by_run in (agent.get_run_output, agent.cancel_run, agent.continue_run):
        refused[f"run_id of {by_run.__name__}"] = partial(by_run, empty)
    for by_session in (agent.get_session, agent.get_chat_history, agent.delete_session):
        refused[f"session_id of {by_session.__name__}"] = partial(by_session, empty)
    for what, act in refused.items():
        with pytest.raises(InvalidInput, match=f"^{what.split(' ', maxsplit=1)[0]} is empty"):
            act()
    assert len(agent.get_sessions().sessions) == 1
    with pytest.raises(InvalidDefinition, match="The id is empty"):
        Agent(id=empty, model=ScriptedModel(["Hello."]))
    with pytest.raises(InvalidDefinition, match="The name is empty"):
        Agent(name=empty, model=ScriptedModel(["Hello."]))


def test_a_fork_goes_on_with_the_conversation_and_leaves_the_other_as_it_is(
    runtime: Runtime,
) -> None:
    seen: list[list[str]] = []

    def answer(request: object) -> str:
        seen.append([message.content for message in request.messages])  # type: ignore[attr-defined]
        return f"answer {len(seen)}"

    agent = scripted(answer, add_history_to_context=True)
    first = agent.run("one", user_id="ann")
    agent.run("two", session_id=first.session_id, user_id="ann")

    fork = agent.fork_session(first.session_id, user_id="ann", run_id=first.run_id)
    agent.run("three", session_id=fork, user_id="ann")

    assert seen[-1] == ["one", "answer 1", "three"]
    assert len(agent.get_chat_history(first.session_id, user_id="ann")) == 4


def test_deleting_a_session_ends_the_run_that_is_paused_in_it(runtime_on_each: Runtime) -> None:
    runtime = runtime_on_each
    agent = scripted([Call("pay"), "Done."], [pay])
    before = agent.run("Pay", user_id="ann")
    before.requirements[0].confirm(by="dana")
    session = agent.continue_run(before.run_id, before.requirements).session_id
    paused = agent.run("Pay", session_id=session, user_id="ann")
    assert paused.is_paused

    agent.delete_session(session, user_id="ann")

    wait_until(has_ended(runtime, paused.run_id))
    for run_id in (before.run_id, paused.run_id):
        with pytest.raises(NotFound):
            agent.get_run_output(run_id, user_id="ann")
    assert runtime.services.db.read_now(verification.verify).decisions == 1
    with pytest.raises(NotFound):
        agent.continue_run(paused.run_id, [paused.requirements[0].confirm()])
    # The id is free again.
    assert agent.run("Pay", session_id=session, user_id="eve").number == 1


@pytest.mark.parametrize("effect", [Effect.once, Effect.read])
@pytest.mark.parametrize("timeout", [None, 0.2])
def test_a_call_that_executes_while_its_session_is_deleted_ends_cleanly(
    runtime: Runtime, ledger: Ledger, tmp_path: Path, effect: Effect, timeout: float | None
) -> None:
    gate = tmp_path / "gate"

    @tool(effect=effect, timeout=timeout)
    def work(run_context: RunContext) -> str:
        """Work."""
        ledger.add("began")
        wait_until(gate.exists)
        run_context.session_state.increment("done")
        ledger.add("ended")
        return "worked"

    agent = scripted([Call("work"), "Done."], [work])
    accepted = agent.run("Work", background=True)
    wait_until(lambda: "began" in ledger.lines)
    heard: list[str] = []

    def listen() -> None:
        with pytest.raises(NotFound) as caught:
            agent.continue_run(accepted.run_id)
        heard.append(str(caught.value))

    listening = threading.Thread(target=listen)
    if timeout is None:
        listening.start()

    agent.delete_session(accepted.session_id)
    gate.touch()

    wait_until(has_ended(runtime, accepted.run_id))
    if timeout is None:
        listening.join(10)
        assert accepted.run_id in heard[0]
    wait_until(lambda: "ended" in ledger.lines)
    assert runtime.services.db.read_now(lambda tx: is_deleted(tx, accepted.run_id))
    with pytest.raises(NotFound):
        agent.get_session(accepted.session_id)
    # The worker goes on.
    assert not agent.run("Hi", background=True).status.is_final


def test_a_turn_that_is_taken_while_its_session_is_deleted_ends_cleanly(runtime: Runtime) -> None:
    asked, gate = threading.Event(), threading.Event()

    class Thinking(ScriptedModel):
        async def respond(
            self, request: ModelRequest, on_delta: Delta | None = None
        ) -> ModelResponse:
            asked.set()
            await asyncio.to_thread(gate.wait, 30)
            return await super().respond(request, on_delta)

    agent = Agent(id=f"thinking-{new_id()}", model=Thinking(["Too late."]))
    accepted = agent.run("Hi", background=True)
    asked.wait(10)

    agent.delete_session(accepted.session_id)
    gate.set()

    wait_until(has_ended(runtime, accepted.run_id))
    with pytest.raises(NotFound):
        agent.get_run_output(accepted.run_id)


def test_a_workflow_whose_run_was_deleted_ends_without_being_told(runtime: Runtime) -> None:
    """Its start may have been on the way while the session was deleted."""
    agent = scripted(["Hello."])
    done = agent.run("Hi")
    wait_until(has_ended(runtime, done.run_id))
    agent.delete_session(done.session_id)

    temporal = runtime.services.temporal
    again = temporal.execute_workflow(
        "AgentRun", RunCursor(run_id=done.run_id), id=done.run_id, task_queue=queue_of(agent.id)
    )
    runtime.call(lambda _: again)
    assert status_of(runtime, done.run_id) is WorkflowExecutionStatus.COMPLETED


def test_two_databases_in_one_process_are_refused(runtime: Runtime, tmp_path: Path) -> None:
    def agent_on(db: SqliteDb | InMemoryDb) -> Agent:
        return scripted(["Hello."], db=db)

    (tmp_path / "folder").mkdir()
    for same in (tmp_path / "kern.db", tmp_path / "folder" / ".." / "kern.db"):
        assert agent_on(SqliteDb(same)).run("Hi").status is RunStatus.completed
    for other in (SqliteDb(tmp_path / "other.db"), InMemoryDb()):
        with pytest.raises(InvalidDefinition, match="one process keeps its runs in one database"):
            agent_on(other).run("Hi")


def test_two_memories_are_two_databases(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = InMemoryDb()
    with closing(Runtime(settings, store_of(memory))) as running:
        monkeypatch.setattr(runtime_module, "_runtime", running)
        agent = scripted(["Hello."], db=memory)
        first = agent.run("Hi")
        assert agent.run("Again", session_id=first.session_id).number == 2
        with pytest.raises(InvalidDefinition, match="one database"):
            scripted(["Hello."], db=InMemoryDb()).run("Hi")
