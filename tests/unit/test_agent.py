"""Agents and the registry: ids that last, and no two agents behind one."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from kern.agent import Agent
from kern.components.component import slug
from kern.components.registry import Registry
from kern.contracts.requests import input_text
from kern.errors import InvalidDefinition, InvalidInput, NotFound
from kern.models.openai import OpenAIResponses
from kern.models.scripted import ScriptedModel
from kern.team import Team
from kern.tools import Approval, Tool, tool
from kern.workflow import Workflow

ROOT = Path(__file__).resolve().parents[2]
MODEL = ScriptedModel(["."])

UNNAMED = """
from kern.agent import Agent
from kern.models.scripted import ScriptedModel
def refund(order_id: str, tags: set[str] = frozenset()) -> str:
    "Pay back."
print(Agent(model=ScriptedModel(["."]), instructions="Help.", tools=[refund]).id)
"""
IMPORTS = """
import sys
import kern.agent, kern.tools, kern.requirements, kern.components.registry
print([name for name in ("temporalio", "openai", "alembic", "typer") if name in sys.modules])
"""


class Order(BaseModel):
    id: str
    lines: list[int] = []


def refund(order_id: str) -> str:
    """Pay back."""
    return order_id


def agent(**options: object) -> Agent:
    return Agent(**{"id": "a", "model": MODEL, **options})  # type: ignore[arg-type]


def printed(code: str, seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Support", "support"),
        ("  Refunds & Co. ", "refunds-co"),
        ("Größe 7", "gr-e-7"),
        ("a/b\\c", "a-b-c"),
        ("v1.2_x", "v1.2_x"),
    ],
)
def test_a_name_becomes_an_id(name: str, expected: str) -> None:
    assert slug(name) == expected
    assert Agent(model=MODEL, name=name).id == expected
    assert Agent(model=MODEL, name=name).name == name


@pytest.mark.parametrize("options", [{"name": "日本"}, {"id": "../x"}, {"id": "a b"}, {"id": "-a"}])
def test_an_id_that_cannot_be_a_queue_or_a_path_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidDefinition, match="cannot be the id"):
        Agent(model=MODEL, **options)  # type: ignore[arg-type]


def test_an_agent_without_a_name_has_the_same_id_in_every_process() -> None:
    first, second = printed(UNNAMED, "1"), printed(UNNAMED, "2")
    assert first.startswith("agent-")
    assert first == second


def test_what_users_import_loads_neither_temporal_nor_openai() -> None:
    assert printed(IMPORTS, "0") == "[]"


@pytest.mark.parametrize(
    "other",
    [
        {"instructions": "Other."},
        {"tools": []},
        {"tools": [Tool(refund, requires_confirmation=True)]},
        {"tools": [Tool(refund, effect="read")]},
        {"tools": [Tool(refund, timeout=3)]},
        {"tools": [Tool(refund, description="Other.")]},
        {"output_schema": Order},
        {"model": ScriptedModel(["."], id="other")},
        {"tool_call_limit": 3},
        {"model_call_limit": 3},
        {"model_call_limit": None},
        {"session_state": {"a": 1}},
        {"add_history_to_context": True},
    ],
)
def test_two_agents_that_differ_cannot_share_an_id(other: Mapping[str, object]) -> None:
    registry = Registry()
    first = agent(tools=[refund])
    registry.register(first)
    with pytest.raises(InvalidDefinition, match="Two different components have the id 'a'"):
        registry.register(agent(**{"tools": [refund], **other}))
    assert registry.get("a") is first


def test_a_gate_cannot_be_replaced_by_a_weaker_one() -> None:
    def gated(quorum: int) -> Agent:
        approval = Approval(quorum=quorum, due=timedelta(days=1))
        return agent(tools=[Tool(refund, requires_confirmation=True, approval=approval)])

    registry = Registry()
    registry.register(gated(2))
    with pytest.raises(InvalidDefinition):
        registry.register(gated(1))


def test_the_same_declaration_again_is_no_other_component() -> None:
    registry = Registry()
    for _ in range(2):
        registry.register(agent(tools=[refund]))
    assert registry.ids == ("a",)


def test_in_an_interactive_session_the_later_declaration_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    registry, later = Registry(), agent(instructions="Later.")
    registry.register(agent())
    registry.register(later)
    assert registry.get("a") is later


def test_an_unknown_component_is_told_with_those_there_are() -> None:
    registry = Registry()
    with pytest.raises(NotFound, match="there are: none"):
        registry.get("a")
    registry.register(agent())
    with pytest.raises(NotFound, match="the id 'b' is registered in this process"):
        registry.get("b")


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidDefinition, match="Two tools have the name 'refund'"):
        agent(tools=[refund, Tool(refund)])


def test_a_model_is_asked_at_least_once() -> None:
    with pytest.raises(InvalidDefinition, match="model_call_limit is 0"):
        agent(model_call_limit=0)


@pytest.mark.parametrize("limit", ["tool_call_limit", "model_call_limit", "num_history_runs"])
def test_negative_limits_are_refused(limit: str) -> None:
    with pytest.raises(InvalidDefinition, match=f"{limit} is -1"):
        agent(**{limit: -1})


WRONG: list[tuple[str, object]] = [
    ("num_history_runs", 1.5),
    ("num_history_runs", 10**30),
    ("num_history_runs", "3"),
    ("num_history_runs", None),
    ("num_history_runs", True),
    ("num_history_runs", 10**5000),
    ("num_history_messages", "3"),
    ("max_tool_calls_from_history", 10**30),
    ("tool_call_limit", float("nan")),
    ("tool_call_limit", "3"),
    ("model_call_limit", 1.5),
    ("instructions", 5),
    ("instructions", [1]),
    ("instructions", b"Help"),
    ("role", 5),
    ("db", "x"),
    ("session_state", [1]),
    ("session_state", {1: 2}),
    ("session_state", {"a": object()}),
    ("session_state", {"a": 10**5000}),
    ("output_schema", "Order"),
    ("output_schema", dict),
    ("tools", 5),
    ("tools", refund),
    ("id", 5),
    ("name", b"x"),
]


@pytest.mark.parametrize(
    ("option", "value"), WRONG, ids=lambda given: given if isinstance(given, str) else ""
)
def test_a_value_that_makes_no_sense_is_refused_where_it_is_given(
    option: str, value: object
) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        agent(**{option: value})
    said = str(refused.value)
    assert option in said or "session" in said
    assert "validation error" not in said
    assert "\n" not in said


def test_a_name_that_makes_no_id_is_told_as_it_was_given() -> None:
    with pytest.raises(InvalidDefinition, match="日本"):
        Agent(model=MODEL, name="日本")


def test_instructions_become_paragraphs() -> None:
    assert agent(instructions=["One.", "Two."]).instructions == "One.\n\nTwo."


def test_inputs_become_the_text_that_the_model_reads() -> None:
    assert input_text("as it is\n") == "as it is\n"
    assert input_text(Order(id="1")) == '{"id":"1","lines":[]}'
    assert input_text({"b": 1, "a": "ä"}) == '{"a":"ä","b":1}'
    assert input_text([1, None, {"a": 2}]) == '[1,null,{"a":2}]'


@pytest.mark.parametrize("given", [{"a": float("nan")}, {"a": object()}, [{1}]])
def test_an_input_that_is_not_json_is_refused(given: object) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        input_text(given)


def gate(asks: bool) -> Callable[..., bool]:  # noqa: FBT001  what it answers
    return lambda account: asks


def clerk(account: str) -> Agent:
    @tool(requires_confirmation=True)
    def transfer() -> str:
        """Send."""
        return account

    return Agent(name="clerk", model=ScriptedModel(["Hi."]), tools=[transfer])


def test_what_was_approved_of_one_component_is_executed_by_no_other_of_its_id() -> None:
    registry = Registry()
    registry.register(clerk("eu"))
    registry.register(clerk("eu"))
    with pytest.raises(InvalidDefinition, match="Two different components have the id 'clerk'"):
        registry.register(clerk("us"))
    gated, free = (
        Agent(name="gated", model=MODEL, tools=[Tool(clerk, requires_confirmation=gate(asks))])
        for asks in (True, False)
    )
    registry.register(gated)
    with pytest.raises(InvalidDefinition, match="'gated'"):
        registry.register(free)
    one, two = (OpenAIResponses("m", base_url=f"http://{host}") for host in ("one", "two"))
    registry.register(Agent(name="asks", model=one))
    with pytest.raises(InvalidDefinition, match="'asks'"):
        registry.register(Agent(name="asks", model=two))


NO = "no"
FLAGS: dict[str, Callable[[Any], object]] = {
    "requires_confirmation": lambda no: tool(requires_confirmation=no)(refund),
    "requires_user_input": lambda no: tool(requires_user_input=no)(refund),
    "external_execution": lambda no: tool(external_execution=no)(refund),
    "add_history_to_context": lambda no: agent(add_history_to_context=no),
    "enable_session_summaries": lambda no: agent(enable_session_summaries=no),
    "share_member_interactions": lambda no: Team(
        members=[agent()], model=ScriptedModel(["a"]), share_member_interactions=no
    ),
    "add_workflow_history_to_steps": lambda no: Workflow(
        steps=[lambda: 1], add_workflow_history_to_steps=no
    ),
    "stream": lambda no: agent().run("hi", stream=no),
    "background": lambda no: agent().run("hi", background=no),
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_text_is_not_taken_for_yes_or_no(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is 'no': use True or False"):
        FLAGS[name](NO)
