"""The tools by which a team's leader delegates to members, whose runs execute the calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from kern.components.agents.model_component import ModelComponent
from kern.components.agents.task_list import NewTask, check_undone
from kern.components.component import definition_of
from kern.contracts.answers import NewChild
from kern.errors import InvalidInput
from kern.run import ToolExecution
from kern.tools.tool import Function, Tool

# Makes a member's input of a call's arguments and the team's own input.
MemberInput = Callable[[Mapping[str, JsonValue], str], str]


class Delegation(Tool):
    """A tool of a leader whose calls are executed by a member.

    Args:
        function: Defines the name, the arguments and the description; it is never called.
        members: The members by id; a call names one as `member_id`.
        member_input: Returns the input of the member's run, from a call's arguments and the input
            of the team's run.
        is_answer: Whether the member's answer is the team's.
        sees_siblings: Whether a member sees what others of the team have done in this run.
    """

    def __init__(
        self,
        function: Function,
        members: Mapping[str, ModelComponent],
        member_input: MemberInput,
        *,
        is_answer: bool = False,
        sees_siblings: bool = False,
    ) -> None:
        super().__init__(function)
        # It has no code of its own: members execute its calls, and are parts of their component.
        self._definition = replace(self._definition, code=())
        self.is_answer = is_answer
        self._members = members
        self._member_input = member_input
        self._sees_siblings = sees_siblings

    def child(self, arguments: Mapping[str, JsonValue], team_input: str) -> NewChild:
        """Return the run that is to execute a call.

        Args:
            arguments: The arguments of the call.
            team_input: The input of the team's run.
        """
        member = self._members[str(arguments["member_id"])]
        return NewChild(
            component_id=member.id,
            component_kind=definition_of(member).kind,
            label=member.id,
            input=self._member_input(arguments, team_input),
            sees_siblings=self._sees_siblings,
            takes_files=self.is_answer,
        )


def delegate(members: Mapping[str, ModelComponent], *, sees_siblings: bool) -> Delegation:
    """Return the tool that gives a member a task."""

    def delegate_task_to_member(member_id: str, task: str) -> str:
        """Have a member of the team do something, and get its answer.

        Several calls at once are done at the same time.

        Args:
            member_id: Who is to do it.
            task: What is to be done, with all that the member needs to know.
        """
        return _never_called(member_id, task)

    return Delegation(
        _with_member_ids(delegate_task_to_member, members),
        members,
        lambda arguments, _: str(arguments["task"]),
        sees_siblings=sees_siblings,
    )


def forward(members: Mapping[str, ModelComponent]) -> Delegation:
    """Return the tool that hands the whole request to a member, whose answer is the answer."""

    def forward_to_member(member_id: str) -> str:
        """Hand the request as it is to the member who is to answer it. Call it once, and alone.

        Args:
            member_id: Who is to answer.
        """
        return _never_called(member_id)

    return Delegation(
        _with_member_ids(forward_to_member, members),
        members,
        _team_input,
        is_answer=True,
    )


def ask_all(members: Mapping[str, ModelComponent], *, sees_siblings: bool) -> Delegation:
    """Return the tool that asks every member at once; it is never offered to a model."""

    def ask_member(member_id: str) -> str:
        """Ask a member what the team was asked.

        Args:
            member_id: Who is asked.
        """
        return _never_called(member_id)

    return Delegation(
        _with_member_ids(ask_member, members),
        members,
        _team_input,
        sees_siblings=sees_siblings,
    )


def task_tools(members: Mapping[str, ModelComponent], *, sees_siblings: bool) -> list[Tool]:
    """Return the tools by which a leader keeps a list of tasks."""

    def assign_task(
        task_number: Annotated[int, Field(ge=1)], member_id: str, instructions: str
    ) -> str:
        """Have a member do a task of the list. It is done when the member has answered.

        Several calls at once are done at the same time.

        Args:
            task_number: Its number in the list.
            member_id: Who is to do it.
            instructions: What is to be done, with all that the member needs to know.
        """
        return _never_called(task_number, member_id, instructions)

    assigned = Delegation(
        _with_member_ids(assign_task, members),
        members,
        lambda arguments, _: str(arguments["instructions"]),
        sees_siblings=sees_siblings,
    )
    return [Tool(add_tasks, effect="idempotent"), assigned, Tool(drop_task, effect="idempotent")]


def check_task(
    tool: Tool, arguments: Mapping[str, JsonValue], calls: Sequence[ToolExecution]
) -> None:
    """Refuse a call about a task of the leader's list that does not exist or is not open.

    Args:
        tool: The tool of the call.
        arguments: The arguments of the call.
        calls: The earlier calls of the run, including those of the same answer.

    Raises:
        ValueError: the call makes no sense; the message is for the model.
    """
    number = arguments.get("task_number")
    is_about_a_task = isinstance(tool, Delegation) or tool.function is drop_task
    if is_about_a_task and isinstance(number, int):
        check_undone(calls, number)


def add_tasks(tasks: Annotated[list[NewTask], Field(min_length=1)]) -> str:
    """Add tasks to the list, in the order in which they are to be done.

    Args:
        tasks: What is to be done, each by one member.
    """
    return f"Added {len(tasks)} to the list, which your instructions show with their numbers."


def drop_task(task_number: Annotated[int, Field(ge=1)], reason: str) -> str:
    """Take a task off the list that is not to be done any more, or cannot be.

    Args:
        task_number: Its number in the list.
        reason: Why.
    """
    return f"Task {task_number} is dropped: {reason}"


def _with_member_ids(function: Function, members: Mapping[str, ModelComponent]) -> Function:
    """Have the schema of the function's `member_id` list the members' ids."""
    ids = tuple(members)
    function.__annotations__["member_id"] = Literal[ids]
    return function


def _team_input(arguments: Mapping[str, JsonValue], team_input: str) -> str:
    del arguments
    return team_input


def _never_called(*arguments: object) -> str:
    message = f"A member's run executes this call, not a function: {arguments!r}."
    raise InvalidInput(message)
