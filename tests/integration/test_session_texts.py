"""Summaries and names that the model writes, as an agent's user sees them."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.errors import InvalidInput, NotAllowed, NotFound, Unavailable
from kern.models.base import Delta, ModelRequest, ModelResponse, ProviderError
from kern.models.scripted import Call, ScriptedModel, Step
from kern.session import Session
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.waiting import wait_until


def is_summary(request: ModelRequest) -> bool:
    return (request.instructions or "").startswith("Sum up")


def test_a_summary_is_made_after_the_answer_and_shown_to_the_model(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    may_sum_up = threading.Event()

    def script(request: ModelRequest) -> Step:
        last = request.messages[-1].content
        if is_summary(request):
            if not may_sum_up.is_set():
                return ProviderError("later", code="timeout", retryable=True)
            ledger.add(last.replace("\n", " "))
            return f"Summary {len(ledger.lines)}."
        return f"{request.instructions} / {last}"

    agent = scripted(
        script,
        instructions="Be kind.",
        enable_session_summaries=True,
        add_session_summary_to_context=True,
    )
    first = agent.run("one", session_id=new_id())
    assert first.content == "Be kind. / one", "the answer does not wait for the summary"
    assert agent.get_session_summary(first.session_id) is None
    may_sum_up.set()
    wait_until(lambda: agent.get_session_summary(first.session_id) == "Summary 1.")
    second = agent.run("two", session_id=first.session_id)
    assert second.content == ("Be kind.\n\nSummary of the conversation so far:\nSummary 1. / two")
    wait_until(lambda: agent.get_session_summary(first.session_id) == "Summary 2.")
    assert "Summary 1." in ledger.lines[1]
    assert "user: two" in ledger.lines[1]
    assert agent.get_run_output(first.run_id).metrics.model_calls == 2
    assert agent.get_session_metrics(first.session_id).model_calls == 4


def test_a_summary_that_fails_fails_nothing(runtime: Runtime, ledger: Ledger) -> None:
    def script(request: ModelRequest) -> Step:
        if not is_summary(request):
            return "Hello."
        ledger.add("asked")
        return ProviderError("no", code="refused", retryable=False)

    agent = scripted(script, enable_session_summaries=True)
    done = agent.run("one", session_id=new_id())
    wait_until(lambda: ledger.lines)
    assert agent.get_run_output(done.run_id).status is RunStatus.completed
    assert agent.run("two", session_id=done.session_id).content == "Hello."


def test_no_summary_is_made_unless_asked_for(runtime: Runtime, ledger: Ledger) -> None:
    def script(request: ModelRequest) -> Step:
        ledger.add("summary" if is_summary(request) else "answer")
        return "Hello."

    agent = scripted(script)
    agent.run("one")
    agent.run("two")
    assert ledger.lines == ["answer", "answer"]


def test_a_session_is_named_by_the_model_or_by_hand(runtime_on_each: Runtime) -> None:
    def script(request: ModelRequest) -> Step:
        is_name = "title" in (request.instructions or "")
        return '```text\n"Refund of order 1042."\n```\nIt says all.' if is_name else "Hello."

    agent = scripted(script)
    done = agent.run("Refund order 1042", user_id="ann")
    with pytest.raises(NotAllowed):
        agent.set_session_name(done.session_id, autogenerate=True)
    named = agent.set_session_name(done.session_id, autogenerate=True, user_id="ann")
    assert named.name == "Refund of order 1042"
    assert agent.set_session_name(done.session_id, "Mine", user_id="ann").name == "Mine"
    for given in ({}, {"name": "Mine", "autogenerate": True}):
        with pytest.raises(InvalidInput, match="give one"):
            agent.set_session_name(done.session_id, user_id="ann", **given)  # type: ignore[arg-type]


def test_a_name_that_the_model_does_not_give_is_an_error(runtime: Runtime) -> None:
    def script(request: ModelRequest) -> Step:
        is_name = "title" in (request.instructions or "")
        return ProviderError("no", code="refused", retryable=False) if is_name else "Hello."

    agent = scripted(script)
    done = agent.run("Hi")
    with pytest.raises(Unavailable, match="was not named"):
        agent.set_session_name(done.session_id, autogenerate=True)
    assert agent.get_session(done.session_id).name is None


def test_a_name_of_nothing_but_dots_is_none(runtime: Runtime) -> None:
    def script(request: ModelRequest) -> Step:
        return ".." if "title" in (request.instructions or "") else "Hello."

    agent = scripted(script)
    done = agent.run("Hi")
    agent.set_session_name(done.session_id, "Mine")
    with pytest.raises(Unavailable, match="was not named"):
        agent.set_session_name(done.session_id, autogenerate=True)
    assert agent.get_session(done.session_id).name == "Mine"


class Held(ScriptedModel):
    """A model that takes its time for a name."""

    def __init__(self) -> None:
        super().__init__(lambda _: "A late name")
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:
        if "title" in (request.instructions or ""):
            self.is_asked.set()
            await asyncio.to_thread(self.may_answer.wait, 30)
        return await super().respond(request, on_delta)


def _naming(agent: Agent, session_id: str, threads: ThreadPoolExecutor) -> Future[Session]:
    return threads.submit(agent.set_session_name, session_id, autogenerate=True, user_id="ann")


def test_a_late_name_reaches_no_other_session_with_the_id(runtime_on_each: Runtime) -> None:
    model = Held()
    agent = Agent(id=f"held-{new_id()}", model=model)
    session_id = agent.run("My secret", user_id="ann").session_id
    with ThreadPoolExecutor(1) as threads:
        late = _naming(agent, session_id, threads)
        assert model.is_asked.wait(30)
        agent.delete_session(session_id, user_id="ann")
        agent.run("Hi", session_id=session_id, user_id="bob")
        model.may_answer.set()
        with pytest.raises((NotAllowed, NotFound)):
            late.result(60)
    assert agent.get_session(session_id, user_id="bob").name is None


def test_a_name_by_hand_stands_against_one_that_is_being_made(runtime: Runtime) -> None:
    model = Held()
    agent = Agent(id=f"held-{new_id()}", model=model)
    session_id = agent.run("Hi", user_id="ann").session_id
    with ThreadPoolExecutor(2) as threads:
        late = _naming(agent, session_id, threads)
        assert model.is_asked.wait(30)
        model.is_asked.clear()
        agent.set_session_name(session_id, "Mine", user_id="ann")
        next_one = _naming(agent, session_id, threads)
        assert model.is_asked.wait(30), "it was asked for after that, and is made"
        model.may_answer.set()
        late.result(60)
        assert next_one.result(60).name == "A late name"
    metrics = agent.get_session_metrics(session_id, user_id="ann")
    assert metrics.model_calls == 3


def test_a_session_in_which_nothing_was_said_is_named_by_nobody(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [paying(ledger)])
    paused = agent.run("Pay")
    empty = agent.fork_session(paused.session_id)
    with pytest.raises(InvalidInput, match="has no runs"):
        agent.set_session_name(empty, autogenerate=True)
