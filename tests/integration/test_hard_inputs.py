"""What models, tools and providers do at their worst: every run still ends, and says why."""

import asyncio
import threading
from pathlib import Path

import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.db.engine.stores import SqliteStore
from kern.models import scripted as scripts
from kern.models.base import Delta, Model, ModelRequest, ModelResponse
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.scripted import Call, ScriptedModel
from kern.process.settings import Settings
from kern.tools import tool
from kern.values.ids import new_id
from kern.values.states import RequirementKind, RunStatus, ToolOutcome
from tests.support.agents import Ledger, scripted
from tests.support.model_server import Failure, ModelServer, Step
from tests.support.workflow_handles import handle_of


def over_http(server: ModelServer, *tools: object) -> Agent:
    """Return an agent whose answers come through the real client."""
    model = OpenAIResponses(id="gpt-test", base_url=server.base_url, api_key="sk-test")
    return Agent(id=f"agent-{new_id()}", model=model, tools=tools)  # type: ignore[arg-type]


def test_lone_surrogates_are_stored_and_sent_back(runtime_on_each: Runtime) -> None:
    def echo(text: str) -> str:
        """Echo."""
        return text + "\ud801\x00"

    script: list[Step] = [Call("echo", arguments_text='{"text": "a\\ud800b\\u0000"}'), "x\ud800y"]
    with ModelServer(script) as server:
        output = over_http(server, echo).run("Hi \udfff\x00")

    assert output.status is RunStatus.completed
    assert output.content == "x?y"
    assert output.input == "Hi ?\ufffd"
    assert output.tools[0].result == "a?b\ufffd?\ufffd"


def test_a_result_of_megabytes_reaches_the_model_and_not_the_history(runtime: Runtime) -> None:
    def dump() -> str:
        """Return much."""
        return "x" * 3_000_000

    with ModelServer([Call("dump"), "Read."]) as server:
        output = over_http(server, dump).run("Dump")
        assert len(str(server.requests[-1].body)) > 3_000_000

    assert output.content == "Read."
    assert output.tools[0].result is not None
    assert len(output.tools[0].result) == 3_000_000
    handle = handle_of(runtime, output.run_id)
    history = runtime.call(lambda _: handle.fetch_history())
    assert len(history.to_json()) < 50_000


def test_invalid_calls_go_back_to_the_model_as_errors(runtime: Runtime, ledger: Ledger) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: float) -> None:
        """Pay."""
        ledger.add(str(amount))

    script: list[Step] = [
        [
            Call("pay", arguments_text='{"amount": '),
            Call("pay", amount="much"),
            Call("pay", arguments_text='{"amount": NaN}'),
            Call("nothing"),
        ],
        "I give up.",
    ]
    with ModelServer(script) as server:
        output = over_http(server, pay).run("Pay")

    assert output.content == "I give up."
    told = [message.content for message in output.messages[2:6]]
    assert "not valid JSON" in told[0]
    assert "amount" in told[1]
    assert "NaN" in told[2]
    assert "no tool 'nothing'" in told[3]
    assert ledger.lines == []
    assert output.requirements == []


def test_a_tool_that_blocks_its_event_loop_freezes_nobody(runtime: Runtime, ledger: Ledger) -> None:
    async def block() -> str:
        """Block far beyond the heartbeat."""
        ledger.add("blocked")
        threading.Event().wait(2.5)
        return "blocked"

    blocking = scripted([Call("block"), "Done."], [block])
    accepted = blocking.run("Block", background=True)

    assert scripted(["Hello."]).run("Hi").content == "Hello."
    output = blocking.continue_run(accepted.run_id)
    assert output.content == "Done."
    assert ledger.lines == ["blocked"]
    assert output.requirements == []


@pytest.mark.parametrize("leave", [SystemExit(3), KeyboardInterrupt(), BaseException("odd")])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_tool_cannot_end_the_worker(
    runtime: Runtime, leave: BaseException, *, is_async: bool
) -> None:
    async def quit_async() -> None:
        """Leave."""
        raise leave

    def quit_sync() -> None:
        """Leave."""
        raise leave

    function = quit_async if is_async else quit_sync
    agent = scripted([Call(function.__name__), "Still here."], [function])
    output = agent.run("Quit")

    is_open = isinstance(leave, SystemExit | KeyboardInterrupt)
    if is_open:
        # It may have left after its effect.
        [requirement] = output.active_requirements
        assert requirement.kind is RequirementKind.unknown_outcome
        output = agent.continue_run(output.run_id, [requirement.mark_happened("paid", by="dana")])
    assert output.content == "Still here."
    assert output.tools[0].outcome is (ToolOutcome.result if is_open else ToolOutcome.error)


def test_passing_failures_of_a_provider_are_tried_again(runtime: Runtime) -> None:
    with ModelServer(["Hello."]) as server:
        server.fail(
            Failure(
                status=429, headers={"retry-after-ms": "20"}, body={"error": {"message": "slow"}}
            ),
            Failure(drop=True),
        )
        output = over_http(server).run("Hi")
        assert len(server.requests) == 3

    assert output.content == "Hello."
    assert output.metrics.model_calls == 1


def test_a_bug_in_a_model_ends_the_run_soon_and_is_told_once(
    runtime: Runtime, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: ModelRequest) -> scripts.Step:
        ledger.add("asked")
        return request.no_such_thing  # type: ignore[attr-defined, no-any-return]

    output = scripted(script).run("Hi")

    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "model_broke"
    assert "AttributeError" in output.error.message
    assert "no_such_thing" in output.error.message
    assert ledger.lines == ["asked"] * 2
    assert "no_such_thing" not in caplog.text
    assert "error=builtins.AttributeError" in caplog.text


def test_what_may_pass_is_tried_again_whoever_raised_it(runtime: Runtime, ledger: Ledger) -> None:
    def script(request: ModelRequest) -> scripts.Step:
        ledger.add("asked")
        if len(ledger.lines) <= 2:
            message = "away"
            raise ConnectionError(message)
        return "Hello."

    assert scripted(script).run("Hi").content == "Hello."
    assert len(ledger.lines) == 3


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"error": {"message": "bad request"}}, "refused"),
        (401, {"error": {"message": "bad key sk-test"}}, "refused"),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, "insufficient_quota"),
    ],
)
def test_a_final_failure_of_a_provider_ends_the_run(
    runtime: Runtime, status: int, body: dict[str, dict[str, str]], code: str
) -> None:
    with ModelServer(["never"]) as server:
        server.fail(*[Failure(status=status, body=body)] * 3)  # type: ignore[arg-type]
        output = over_http(server).run("Hi")
        assert len(server.requests) == 1

    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == code
    assert "sk-test" not in output.error.message


def test_chat_completions_run_the_same(runtime: Runtime, ledger: Ledger) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: float) -> str:
        """Pay."""
        ledger.add(str(amount))
        return "paid"

    with ModelServer([Call("pay", amount=5), "Done."]) as server:
        model = OpenAIChat(id="local", base_url=server.base_url)
        agent = Agent(id=f"agent-{new_id()}", model=model, tools=[pay])
        paused = agent.run("Pay 5")
        output = agent.continue_run(paused.run_id, [paused.requirements[0].confirm()])

    assert output.content == "Done."
    assert ledger.lines == ["5.0"]


def test_a_run_of_many_turns_continues_as_new_and_keeps_its_cursor(
    settings: Settings, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = settings.model_copy(update={"turns_per_history": 3})
    runtime = Runtime(few, SqliteStore(tmp_path / "kern.db"))
    monkeypatch.setattr("kern.client.processes.process_runtime._runtime", runtime)

    @tool(requires_confirmation=lambda number: number == 8)
    def step(number: int) -> str:
        """Step."""
        ledger.add(str(number))
        return f"did {number}"

    script: list[scripts.Step] = [
        *[Call("step", number=number) for number in range(1, 11)],
        "Done.",
    ]
    agent = scripted(script, [step])
    paused = agent.run("Go")
    output = agent.continue_run(paused.run_id, [paused.requirements[0].confirm()])

    assert output.content == "Done."
    assert ledger.lines == [str(number) for number in range(1, 11)]
    handle = handle_of(runtime, output.run_id)
    history = runtime.call(lambda _: handle.fetch_history())
    assert len(history.events) < 60
    runtime.close()


def test_a_model_that_never_stops_calling_ends_with_its_run(
    runtime: Runtime, ledger: Ledger
) -> None:
    def step() -> None:
        """Step."""
        ledger.add("step")

    stubborn = scripted(lambda _: [Call("step")] * 9, [step], tool_call_limit=3)
    output = stubborn.run("Go")

    assert output.error is not None
    assert output.error.code == "tool_call_limit"
    assert output.metrics.model_calls == 2
    assert len(ledger.lines) == 3


def test_a_limit_of_calls_is_kept(runtime: Runtime, ledger: Ledger) -> None:
    def step() -> None:
        """Step."""
        ledger.add("step")

    script: list[scripts.Step] = [
        [Call("step"), Call("step")],
        [Call("step"), Call("step")],
        "Done.",
    ]
    output = scripted(script, [step], tool_call_limit=3).run("Go")

    assert output.content == "Done."
    assert len(ledger.lines) == 3


def test_lone_surrogates_in_what_a_model_asks_for_are_replaced(runtime: Runtime) -> None:
    def look_up(order_id: str) -> str:
        """Look it up."""
        return f"found {order_id!a}"

    done = scripted([Call("look_up", order_id="10\ud80042"), "Done."], [look_up]).run("Hi")
    assert done.content == "Done."
    assert done.tools[0].result is not None
    assert "ud800" not in done.tools[0].result


class Slow(ScriptedModel):
    """A model that takes its time."""

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:
        await asyncio.sleep(1.3)
        return await super().respond(request, on_delta)


def test_all_of_a_slow_first_answer_counts_as_work(runtime: Runtime) -> None:
    done = Agent(id=f"slow-{new_id()}", model=Slow(["Hello."])).run("Hi")
    assert done.metrics.working_seconds >= 1.3


def test_a_model_of_ones_own_needs_no_id(runtime: Runtime) -> None:
    class Mine(Model):
        async def respond(
            self, request: ModelRequest, on_delta: Delta | None = None
        ) -> ModelResponse:
            del on_delta
            if "boom" in request.messages[-1].content:
                raise TypeError("boom")
            return ModelResponse(content="hi", provider="mine")

    agent = Agent(id=f"agent-{new_id()}", model=Mine())
    assert agent.run("hello").content == "hi"
    output = agent.run("boom")
    assert output.error is not None
    assert "'Mine' raised TypeError: boom" in output.error.message
