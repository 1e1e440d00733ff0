"""A run from its beginning to its end, as an agent's user sees it, on each database."""

import asyncio

import pytest
from pydantic import BaseModel

from kern.client.processes.runtime import Runtime
from kern.errors import Conflict, NotFound, RunEnded
from kern.models.scripted import Call
from kern.run import RunOutput
from kern.tools import RunContext, tool
from kern.values.states import RunStatus, ToolOutcome
from tests.support.agents import Ledger, scripted
from tests.support.waiting import wait_until


def test_a_plain_run_answers(runtime_on_each: Runtime) -> None:
    output = scripted(["Hello."]).run("Hi")

    assert output.status is RunStatus.completed
    assert output.content == "Hello."
    assert [message.role for message in output.messages] == ["user", "assistant"]
    assert output.metrics.model_calls == 1
    assert output.number == 1


def test_a_gated_call_runs_once_after_it_was_approved(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    @tool(requires_confirmation=True)
    def refund(order_id: str, amount: float) -> str:
        """Pay the customer back."""
        ledger.add(f"{order_id} {amount}")
        return "refunded"

    agent = scripted([Call("refund", order_id="1042", amount=40), "Done."], [refund])

    paused = agent.run("Refund order 1042")

    assert paused.is_paused
    assert ledger.lines == []
    (requirement,) = paused.active_requirements
    assert requirement.needs_confirmation
    assert requirement.arguments == {"order_id": "1042", "amount": 40.0}

    requirement.confirm(by="dana", note="seen")
    done = agent.continue_run(paused.run_id, paused.requirements)

    assert done.status is RunStatus.completed
    assert done.content == "Done."
    assert ledger.lines == ["1042 40.0"]
    assert [call.outcome for call in done.tools] == [ToolOutcome.result]
    assert done.requirements[0].resolution is not None
    assert done.requirements[0].resolution.by == "dana"


def test_a_rejected_call_never_runs_and_the_model_is_told_why(
    runtime: Runtime, ledger: Ledger
) -> None:
    @tool(requires_confirmation=True)
    def refund(order_id: str) -> None:
        """Pay the customer back."""
        ledger.add(order_id)

    agent = scripted([Call("refund", order_id="1042"), "I could not."], [refund])
    paused = agent.run("Refund order 1042")
    paused.requirements[0].reject("too late", by="dana")

    done = agent.continue_run(paused.run_id, paused.requirements)

    assert ledger.lines == []
    assert done.content == "I could not."
    told = done.messages[2]
    assert told.role == "tool"
    assert "rejected by dana" in told.content
    assert "too late" in told.content


def test_an_edited_call_runs_with_the_edited_arguments(runtime: Runtime, ledger: Ledger) -> None:
    @tool(requires_confirmation=True)
    def refund(order_id: str, amount: float) -> None:
        """Pay the customer back."""
        ledger.add(f"{order_id} {amount}")

    agent = scripted([Call("refund", order_id="1042", amount=40), "Done."], [refund])
    paused = agent.run("Refund order 1042")
    paused.requirements[0].edit({"amount": 15}).confirm(by="dana")

    done = agent.continue_run(paused.run_id, paused.requirements)

    assert ledger.lines == ["1042 15.0"]
    resolution = done.requirements[0].resolution
    assert resolution is not None
    assert resolution.edit == {"amount": 15}
    assert done.requirements[0].arguments["amount"] == 40.0


def test_the_async_twins_do_the_same(runtime: Runtime, ledger: Ledger) -> None:
    @tool(requires_confirmation=True)
    async def refund(order_id: str) -> str:
        """Pay the customer back."""
        await asyncio.sleep(0)
        ledger.add(order_id)
        return "refunded"

    agent = scripted([Call("refund", order_id="7"), "Done."], [refund])

    async def everything() -> RunOutput:
        paused = await agent.arun("Refund order 7")
        assert (await agent.aget_run_output(paused.run_id)).is_paused
        paused.requirements[0].confirm()
        return await agent.acontinue_run(paused.run_id, paused.requirements)

    assert asyncio.run(everything()).content == "Done."
    assert ledger.lines == ["7"]


def test_a_background_run_returns_at_once_and_goes_on(runtime: Runtime) -> None:
    agent = scripted(["Later."])

    accepted = agent.run("Hi", background=True)

    assert accepted.status in {RunStatus.pending, RunStatus.running, RunStatus.completed}
    wait_until(lambda: agent.get_run_output(accepted.run_id).status is RunStatus.completed)


def test_the_same_run_id_is_the_same_run(runtime_on_each: Runtime) -> None:
    agent = scripted(["Hello."])
    first = agent.run("Hi", run_id="mine")

    again = agent.run("Hi", run_id="mine")

    assert again.run_id == first.run_id == "mine"
    assert again.session_id == first.session_id
    assert again.metrics.model_calls == 1
    with pytest.raises(Conflict, match="'mine' is taken"):
        agent.run("Something else", run_id="mine")


def test_runs_of_a_session_are_numbered(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    first = agent.run("Hi")
    second = agent.run("Hi again", session_id=first.session_id)

    assert (first.number, second.number) == (1, 2)
    assert agent.run("Elsewhere").session_id != first.session_id


def test_a_tool_knows_its_run_and_changes_the_state(runtime_on_each: Runtime) -> None:
    seen: list[RunContext] = []

    def remember(word: str, run_context: RunContext) -> str:
        """Remember a word."""
        seen.append(run_context)
        run_context.session_state["last"] = word
        run_context.session_state.increment("count")
        run_context.session_state.append("words", word)
        return "ok"

    agent = scripted(
        [Call("remember", word="sea"), "Done."], [remember], session_state={"count": 4}
    )
    output = agent.run("Go", dependencies={"tenant": "a"}, metadata={"source": "test"})

    (context,) = seen
    assert context.run_id == output.run_id
    assert context.session_id == output.session_id
    assert context.idempotency_key == output.tools[0].idempotency_key
    assert context.dependencies == {"tenant": "a"}
    assert context.metadata == {"source": "test"}
    assert output.session_state == {"last": "sea", "count": 5, "words": ["sea"]}


class Story(BaseModel):
    title: str
    words: int


def test_an_output_schema_gives_typed_content(runtime: Runtime) -> None:
    agent = scripted([Story(title="Robots", words=3)], output_schema=Story)

    output = agent.run("Tell me")

    assert output.content == Story(title="Robots", words=3)
    assert output.content_type == "Story"
    assert agent.get_run_output(output.run_id).content == output.content


def test_an_answer_that_does_not_fit_the_schema_fails_after_corrections(runtime: Runtime) -> None:
    agent = scripted(lambda _: "no JSON", output_schema=Story)

    output = agent.run("Tell me")

    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "invalid_output"
    assert output.metrics.model_calls == 4


def test_a_failing_tool_is_an_answer_for_the_model(runtime: Runtime) -> None:
    def look(order_id: str) -> str:
        """Look an order up."""
        message = f"no order {order_id}"
        raise LookupError(message)

    output = scripted([Call("look", order_id="1"), "There is none."], [look]).run("Look")

    assert output.content == "There is none."
    assert "LookupError: no order 1" in output.messages[2].content
    assert output.tools[0].outcome is ToolOutcome.error


def test_a_tool_that_may_be_repeated_is_retried(runtime: Runtime, ledger: Ledger) -> None:
    @tool(effect="idempotent", retries=2)
    def send(run_context: RunContext) -> str:
        """Send it."""
        ledger.add(run_context.idempotency_key)
        if len(ledger.lines) < 3:
            message = "not yet"
            raise ConnectionError(message)
        return "sent"

    output = scripted([Call("send"), "Sent."], [send]).run("Send")

    assert output.tools[0].outcome is ToolOutcome.result
    assert output.tools[0].attempts == 3
    assert len(set(ledger.lines)) == 1


def test_history_of_the_session_reaches_the_model_when_asked_for(runtime: Runtime) -> None:
    seen: list[list[str]] = []

    def answer(request: object) -> str:
        seen.append([message.content for message in request.messages])  # type: ignore[attr-defined]
        return f"answer {len(seen)}"

    agent = scripted(answer, add_history_to_context=True, num_history_runs=2)
    session = agent.run("one").session_id
    for text in ("two", "three", "four"):
        agent.run(text, session_id=session)

    assert seen[0] == ["one"]
    assert seen[3] == ["two", "answer 2", "three", "answer 3", "four"]


def test_a_run_that_does_not_exist_is_not_found(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    for call in (agent.get_run_output, agent.cancel_run, agent.continue_run):
        with pytest.raises(NotFound, match="'nothing'"):
            call("nothing")


def test_a_finished_run_cannot_be_cancelled(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    output = agent.run("Hi")

    with pytest.raises(RunEnded, match="'completed'"):
        agent.cancel_run(output.run_id)
    assert agent.continue_run(output.run_id).content == "Hello."
