"""Teams as they are declared, and the list of tasks that a leader keeps."""

from collections.abc import Callable
from typing import cast

import pytest
from pydantic import JsonValue

from kern.agent import Agent
from kern.components.agents.delegation import Delegation
from kern.components.agents.task_list import TaskStatus, check_undone, listed, tasks_of
from kern.components.component import definition_of
from kern.db import InMemoryDb
from kern.errors import InvalidDefinition
from kern.models.scripted import ScriptedModel
from kern.run import ToolExecution
from kern.team import Mode, Team
from kern.tools import tool
from kern.tools.tool import tool_definition
from kern.values.states import ToolCallStatus, ToolOutcome

MODEL = ScriptedModel(["Hello."])


def agent(name: str = "one", **options: object) -> Agent:
    return Agent(name=name, model=MODEL, **options)  # type: ignore[arg-type]


def team(*members: Agent | Team, mode: Mode = "coordinate", **options: object) -> Team:
    return Team(name="desk", members=members, model=MODEL, mode=mode, **options)  # type: ignore[arg-type]


def call(
    name: str,
    *,
    status: str = "done",
    outcome: str | None = "result",
    child: str | None = None,
    **arguments: JsonValue,
) -> ToolExecution:
    return ToolExecution(
        id="c",
        tool_name=name,
        turn=1,
        arguments=arguments,
        status=ToolCallStatus(status),
        outcome=None if outcome is None else ToolOutcome(outcome),
        child_run_id=child,
    )


@tool
def delegate_task_to_member() -> str:
    """Be called like a tool of the leader's."""
    return ""


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (team, "needs members"),
        (lambda: team(agent("desk")), "'desk' has the team's own id"),
        (
            lambda: team(Team(name="inner", members=[agent("desk")], model=MODEL)),
            "'desk' has the team's own id",
        ),
        (lambda: team(cast("Agent", "one")), "'one' cannot be a member"),
        (lambda: team(agent(), agent()), "Two members have the id 'one'"),
        (
            lambda: team(agent(), mode=cast("Mode", "vote")),
            "mode is .vote.: use one of",
        ),
        (lambda: team(agent(), mode=cast("Mode", ["route"])), "use one of"),
        (
            lambda: Team(members=cast("list[Agent]", agent()), model=MODEL),
            "members is .*give a list",
        ),
        (lambda: team(agent(db=InMemoryDb())), "'one' names a database of its own"),
        (lambda: team(agent(), mode="route", output_schema=ToolExecution), "to the members"),
        (lambda: team(agent(), tools=[delegate_task_to_member]), "Two tools have the name"),
        (lambda: team(agent(), id=""), "id is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(declare: Callable[[], Team], why: str) -> None:
    with pytest.raises(InvalidDefinition, match=why):
        declare()


def test_a_team_has_the_id_of_its_name_and_changes_with_its_members() -> None:
    one, other = team(agent(tools=[])), team(agent(instructions="Be kind."))
    assert one.id == other.id == "desk"
    fingerprint = definition_of(one).fingerprint
    assert fingerprint != definition_of(other).fingerprint
    assert fingerprint == definition_of(team(agent())).fingerprint
    assert fingerprint != definition_of(team(agent(), mode="route")).fingerprint
    assert [part.id for part in definition_of(one).parts] == ["one"]


def test_members_are_named_in_the_schema_of_the_call() -> None:
    (given,) = team(agent("ann"), agent("bob")).tools.values()
    assert isinstance(given, Delegation)
    assert '"enum":["ann","bob"]' in tool_definition(given).spec.model_dump_json().replace(" ", "")


def test_a_list_of_tasks_is_what_calls_have_made_of_it() -> None:
    made = [
        call("add_tasks", tasks=[{"title": "Dig"}, {"title": "Plant"}]),
        call("add_tasks", tasks=[{"title": "Never"}], outcome="error"),
        call("assign_task", task_number=1, member_id="ann", child="r1"),
        call("assign_task", task_number=2, member_id="bob", child="r2", outcome="error"),
        call("assign_task", task_number=9, member_id="bob", outcome="error"),
        call("add_tasks", tasks=[{"title": "Water"}, {"title": "Rest"}, {"title": "Wait"}]),
        call("assign_task", task_number=3, member_id="bob", child="r3", outcome="cancelled"),
        call("drop_task", task_number=4, reason="tired"),
        call(
            "assign_task",
            task_number=5,
            member_id="ann",
            child="r4",
            status="waiting",
            outcome=None,
        ),
    ]
    tasks = tasks_of(made)
    assert [task.status for task in tasks] == [
        TaskStatus.done,
        TaskStatus.failed,
        TaskStatus.failed,
        TaskStatus.dropped,
        TaskStatus.in_progress,
    ]
    assert [task.is_settled for task in tasks] == [True, False, False, True, False]
    assert listed(tasks).splitlines()[0] == "1. [done, ann] Dig"
    assert listed([]) == "(no tasks yet)"


def test_a_task_that_failed_is_given_to_somebody_else() -> None:
    made = [
        call("add_tasks", tasks=[{"title": "Dig"}]),
        call("assign_task", task_number=1, member_id="ann", child="r1", outcome="error"),
    ]
    check_undone(made, 1)
    made.append(call("assign_task", task_number=1, member_id="bob", child="r2"))
    (task,) = tasks_of(made)
    assert (task.status, task.member) == (TaskStatus.done, "bob")


@pytest.mark.parametrize(("number", "why"), [(1, "done already"), (2, "numbered 1 to 1")])
def test_what_is_not_there_to_be_done_is_not_assigned(number: int, why: str) -> None:
    made = [
        call("add_tasks", tasks=[{"title": "Dig"}]),
        call("assign_task", task_number=1, member_id="ann", child="r1"),
    ]
    with pytest.raises(ValueError, match=why):
        check_undone(made, number)
