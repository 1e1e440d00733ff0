"""The modes of a team: which instructions and tools its leader has for delegating work."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from kern.components.agents.delegation import Delegation, ask_all, delegate, forward, task_tools
from kern.components.agents.model_component import ModelComponent
from kern.components.agents.task_list import listed, tasks_of
from kern.components.agents.turn_policy import TurnPolicy
from kern.models.base import ModelResponse
from kern.run import RequestedCall, ToolExecution
from kern.tools.tool import Tool
from kern.values.canonical import canonical_json

# The provider of an answer that Kern wrote itself.
_PROVIDER = "kern"


class TeamMode(TurnPolicy):
    """The turn policy of a team's leader.

    Args:
        members: The members by id.
        sees_siblings: Whether a member sees what the others have done earlier in the run.
    """

    rules: ClassVar[str]
    shows_calls: ClassVar[bool] = False

    def __init__(self, members: Mapping[str, ModelComponent], *, sees_siblings: bool) -> None:
        self._members = members
        self._sees_siblings = sees_siblings

    def tools(self) -> list[Tool]:
        """Return the tools by which the leader delegates work to members."""
        return [delegate(self._members, sees_siblings=self._sees_siblings)]


class Coordinate(TeamMode):
    """The leader gives tasks to members and sums up."""

    rules = (
        "Give the members what they are to do, each with all that it needs to know, and answer "
        "from what they return. What a member has not returned has not been done: never say "
        "otherwise."
    )


class Route(TeamMode):
    """The leader chooses one member, whose answer is the answer."""

    rules = (
        "Hand the request to the one member who is to answer it: the member's answer goes to the "
        "user as it is. Answer yourself only when no member can."
    )

    def tools(self) -> list[Tool]:
        """Return the tool that hands the request on."""
        return [forward(self._members)]


class Broadcast(TeamMode):
    """All members are asked at once; then the leader sums up their answers."""

    rules = (
        "Every member has been asked what you were asked. Answer from what they returned, and say "
        "where they differ. What a member has not returned has not been done: never say otherwise."
    )

    def tools(self) -> list[Tool]:
        """Return the tool that Kern itself calls on behalf of the leader."""
        return [ask_all(self._members, sees_siblings=self._sees_siblings)]

    def offered(self, tools: Collection[Tool]) -> Collection[Tool]:
        """Return the tools without that one."""
        return [tool for tool in tools if not isinstance(tool, Delegation)]

    def opening(self) -> ModelResponse:
        """Return an answer whose calls ask all members."""
        calls = [
            RequestedCall(
                id=f"ask-{number}",
                name="ask_member",
                arguments=canonical_json({"member_id": member}),
            )
            for number, member in enumerate(self._members, start=1)
        ]
        return ModelResponse(tool_calls=calls, provider=_PROVIDER)


class Tasks(TeamMode):
    """The leader keeps a list of tasks until all are done or dropped."""

    rules = (
        "Break the request down into tasks on your list, give each to a member, and go on until "
        "all are done or dropped; then answer from what the members returned. What a member has "
        "not returned has not been done: never say otherwise."
    )
    shows_calls = True

    def tools(self) -> list[Tool]:
        """Return the tools that change the list."""
        return task_tools(self._members, sees_siblings=self._sees_siblings)

    def briefing(self, calls: Sequence[ToolExecution]) -> str:
        """Return the present list of tasks."""
        return f"Your list of tasks:\n{listed(tasks_of(calls))}"

    def objection(self, calls: Sequence[ToolExecution]) -> str | None:
        """Return which tasks remain; None if none do."""
        remaining = [task for task in tasks_of(calls) if not task.is_settled]
        if not remaining:
            return None
        return (
            "These tasks of your list are neither done nor dropped:\n"
            f"{listed(remaining)}\nAssign each to a member or drop it, and answer then."
        )


MODES: dict[str, type[TeamMode]] = {
    "coordinate": Coordinate,
    "route": Route,
    "broadcast": Broadcast,
    "tasks": Tasks,
}
