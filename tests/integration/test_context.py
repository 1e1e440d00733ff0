"""What an agent's model sees and may do with its session: history, state, and the past."""

import json
from functools import partial

import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.models.base import ModelRequest
from kern.models.scripted import Call, Step, answers_since_user
from kern.session_state import SessionState
from kern.tools import RunContext, tool
from kern.values.states import RunStatus, ToolOutcome
from tests.support.agents import scripted
from tests.support.waiting import wait_until

RUNS = 50


class Model:
    """A script that notes what it is asked."""

    def __init__(self, *steps: Step) -> None:
        self.asked: list[ModelRequest] = []
        self._steps = steps

    def __call__(self, request: ModelRequest) -> Step:
        self.asked.append(request)
        return self._steps[min(answers_since_user(request), len(self._steps) - 1)]


@tool(requires_confirmation=True)
def refund(order_id: str) -> str:
    """Pay the customer back."""
    return f"refunded {order_id}"


def told(agent: Agent, run_id: str, name: str, user_id: str | None = None) -> str:
    """Return the result of a run's call of a tool."""
    output = agent.get_run_output(run_id, user_id=user_id)
    (call,) = [one for one in output.tools if one.tool_name == name]
    assert call.outcome is ToolOutcome.result
    return call.result or ""


def test_a_model_is_told_what_waits_for_approval(runtime: Runtime) -> None:
    model = Model([Call("refund", order_id="1042")], "Done.")
    agent = scripted(model, [refund], add_history_to_context=True)
    paused = agent.run("Refund order 1042")
    agent.run("Is it there yet?", session_id=paused.session_id, background=True)
    wait_until(lambda: len(model.asked) == 2)
    line, asked = model.asked[1].messages
    assert 'waiting for approval of refund(order_id="1042")' in line.content
    assert asked.content == "Is it there yet?"


def test_num_history_messages_and_max_tool_calls_from_history(runtime: Runtime) -> None:
    def look(n: int) -> int:
        """Look."""
        return n

    model = Model([Call("look", n=1), Call("look", n=2)], "Done.")
    agent = scripted(
        model,
        [look],
        add_history_to_context=True,
        num_history_messages=4,
        max_tool_calls_from_history=1,
    )
    session = agent.run("one").session_id
    agent.run("two", session_id=session)
    seen = model.asked[2].messages
    assert [message.role for message in seen] == ["assistant", "tool", "assistant", "user"]
    assert [call.arguments for call in seen[0].tool_calls] == ['{"n": 2}']


def test_placeholders_are_filled_from_the_state_as_it_stands_at_each_turn(
    runtime: Runtime,
) -> None:
    def rename(name: str, run_context: RunContext) -> str:
        """Change the name."""
        run_context.session_state["name"] = name
        return "ok"

    model = Model(Call("rename", name="Bea"), "Done.")
    agent = scripted(
        model, [rename], instructions="Talk to {name}, {user_id}.", session_state={"name": "Ann"}
    )
    first = agent.run("Hi")
    agent.run("Hi", session_id=first.session_id, session_state={"name": "Cyd"})
    assert [request.instructions for request in model.asked] == [
        "Talk to Ann, {user_id}.",
        "Talk to Bea, {user_id}.",
        "Talk to Cyd, {user_id}.",
        "Talk to Bea, {user_id}.",
    ]


def test_a_model_changes_the_state_by_a_tool_and_sees_it(runtime: Runtime) -> None:
    changes = [
        {"op": "set", "key": "name", "value": "Ann"},
        {"op": "increment", "key": "visits", "value": 2},
        {"op": "append", "key": "notes", "value": {"likes": "tea"}},
        {"op": "delete", "key": "old"},
    ]
    model = Model(Call("update_session_state", changes=changes), "Done.")  # type: ignore[arg-type]
    agent = scripted(
        model,
        session_state={"visits": 1, "old": True},
        enable_agentic_state=True,
        add_session_state_to_context=True,
    )
    output = agent.run("I am Ann")
    expected = {"name": "Ann", "visits": 3, "notes": [{"likes": "tea"}]}
    assert output.session_state == expected
    assert '{"old":true,"visits":1}' in (model.asked[0].instructions or "")
    shown = (model.asked[1].instructions or "").splitlines()[-1]
    assert json.loads(shown) == expected
    result = told(agent, output.run_id, "update_session_state")
    assert result == "Changed: name, visits, notes, old."


def test_a_change_that_fails_changes_nothing(runtime: Runtime) -> None:
    changes = [
        {"op": "set", "key": "name", "value": "Ann"},
        {"op": "increment", "key": "visits", "value": "often"},
    ]
    model = Model(Call("update_session_state", changes=changes), "Done.")  # type: ignore[arg-type]
    output = scripted(model, enable_agentic_state=True).run("I am Ann")
    assert output.session_state == {}
    assert "give a number" in output.messages[2].content


def test_a_model_reads_the_session_and_searches_the_users_others(runtime: Runtime) -> None:
    model = Model(
        [Call("read_chat_history", runs=2), Call("search_past_sessions", query="blue car")],
        "Here it is.",
    )
    agent = scripted(model, read_chat_history=True, search_past_sessions=True)
    agent.run("The car is blue", user_id="ann")
    agent.run("My car is blue too", user_id="eve")
    session = agent.run("one", user_id="ann").session_id
    for text in ("two", "three"):
        agent.run(text, user_id="ann", session_id=session)
    output = agent.run("What did I say?", user_id="ann", session_id=session)
    read = json.loads(told(agent, output.run_id, "read_chat_history", "ann"))
    assert [(one["user"], one["assistant"]) for one in read] == [
        ("two", "Here it is."),
        ("three", "Here it is."),
    ]
    found = json.loads(told(agent, output.run_id, "search_past_sessions", "ann"))
    assert [one["user"] for one in found] == ["The car is blue"]


def test_fifty_runs_in_the_background_lose_nothing_of_the_state(runtime_on_each: Runtime) -> None:
    def note(number: int, run_context: RunContext) -> str:
        """Note a number."""
        run_context.session_state.append("log", number)
        run_context.session_state.increment("count")
        run_context.session_state[f"own{number}"] = number
        return "noted"

    def script(request: ModelRequest) -> Step:
        if answers_since_user(request):
            return "Done."
        return Call("note", number=int(request.messages[-1].content))

    agent = scripted(script, [note])
    session = agent.run("0").session_id
    rest = [
        agent.run(str(n), session_id=session, on_busy="parallel", background=True)
        for n in range(1, RUNS)
    ]
    for run in rest:
        wait_until(partial(_is_completed, agent, run.run_id), timeout=90)
    state = agent.get_run_output(rest[0].run_id).session_state
    log = state.pop("log")
    assert isinstance(log, list)
    assert sorted(log, key=str) == sorted(range(RUNS), key=str)
    assert state.pop("count") == RUNS
    assert state == {f"own{n}": n for n in range(RUNS)}


def _is_completed(agent: Agent, run_id: str) -> bool:
    return agent.get_run_output(run_id).status is RunStatus.completed


def test_a_tool_may_add_to_the_state_in_one_go_and_replaces_nothing(runtime: Runtime) -> None:
    @tool
    def learn(run_context: RunContext) -> str:
        run_context.session_state |= {"a": 1, "b": 2}
        with pytest.raises(AttributeError, match="change its keys"):
            run_context.session_state = SessionState({})
        with pytest.raises(AttributeError, match="user_id of a"):
            run_context.user_id = "bob"
        return "learnt"

    output = scripted([Call("learn"), "Done."], [learn]).run("Learn")
    assert output.tools[0].result == "learnt"
    assert output.session_state == {"a": 1, "b": 2}
