"""Teams: a leader that gives work to members, each of whom has a run of its own."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Unpack

from pydantic import JsonValue

from kern.components.agents.model_component import ModelComponent, ModelOptions
from kern.components.agents.option_checks import a_list, not_empty
from kern.components.agents.team_modes import MODES, TeamMode
from kern.context.instructions import Context, window_of
from kern.errors import InvalidDefinition
from kern.models.base import Model
from kern.tools.tool import Function, Tool
from kern.values.canonical import digest
from kern.values.validation import truths

Mode = Literal["coordinate", "route", "broadcast", "tasks"]


class Team(ModelComponent):
    """A leader with members, who are agents or teams; its runs are runs like any other.

    A member's run is part of the team's: in the same session, with its own row, and waiting for
    people by itself while the others go on. What the leader is told of it is what is stored. Every
    method has an async twin whose name begins with `a`.

    Args:
        members: Who does the work: agents and teams, each with an id of its own. What a member is
            for, the leader is told by its `role`.
        model: Who leads.
        mode: `coordinate`: the leader gives tasks to members and sums up. `route`: it chooses one
            member, whose answer is the answer. `broadcast`: all members are asked at once, and the
            leader sums up. `tasks`: it keeps a list of tasks until all are done or dropped.
        tools: What the leader may call beside asking members.
        share_member_interactions: Whether a member is told what others have done in the run before.
        add_team_history_to_members: Whether members see the earlier runs of the team's session, as
            many as the settings of history say.
        options: As for an `Agent`, and for the leader.

    Raises:
        InvalidDefinition: there are no members, two have one id, one is no agent or team, or a
            value makes no sense.
    """

    kind: ClassVar[str] = "team"

    def __init__(
        self,
        *,
        members: Sequence[ModelComponent],
        model: Model,
        mode: Mode = "coordinate",
        tools: Sequence[Tool | Function] = (),
        share_member_interactions: bool = False,
        add_team_history_to_members: bool = False,
        **options: Unpack[ModelOptions],
    ) -> None:
        truths(
            share_member_interactions=share_member_interactions,
            add_team_history_to_members=add_team_history_to_members,
        )
        self.members = {member.id: member for member in _members(members)}
        self.mode: Mode = _a_mode(mode)
        self._conduct = MODES[mode](self.members, shares=share_member_interactions)
        self.share_member_interactions = share_member_interactions
        self.add_team_history_to_members = add_team_history_to_members
        if mode == "route" and options.get("output_schema") is not None:
            message = (
                "A team that routes gives a member's answer: pass output_schema to the members, "
                "not to the team."
            )
            raise InvalidDefinition(message)
        not_empty(id=options.get("id"), name=options.get("name"))
        super().__init__(model=model, tools=[*tools, *self._conduct.tools()], **options)
        self.context = self._shown()
        self._check_ids(self)
        self._check_databases()

    @property
    def fingerprint(self) -> str:
        """A digest of the declaration: two teams with the same one do the same."""
        declaration: list[JsonValue] = [
            super().fingerprint,
            self.mode,
            self.share_member_interactions,
            self.add_team_history_to_members,
        ]
        declaration.extend([member.id, member.fingerprint] for member in self.members.values())
        return digest(declaration)

    @property
    def conduct(self) -> TeamMode:
        """How its leader has members do the work."""
        return self._conduct

    @property
    def parts(self) -> tuple[ModelComponent, ...]:
        """The members."""
        return tuple(self.members.values())

    def _shown(self) -> Context:
        """Return what the leader is shown, with who the members are."""
        lines = [f"- {member.id}: {member.role or member.name}" for member in self.members.values()]
        brief = "\n".join(["You lead a team. Its members:", *lines])
        told = "\n\n".join(filter(None, [self.instructions, brief, self._conduct.rules]))
        window = None
        if self.add_team_history_to_members:
            window = window_of(
                shown=True,
                runs=self.num_history_runs,
                messages=self.num_history_messages,
                tool_calls=None,
            )
        return self.context.leading(told, window, shows_calls=self._conduct.shows_calls)

    def _check_ids(self, inside: "Team") -> None:
        for member in inside.members.values():
            if member.id == self.id:
                message = (
                    f"A member inside the team {self.id!r} has the team's own id, and runs find "
                    "their code by id: give each its own, by id= or another name=."
                )
                raise InvalidDefinition(message)
            if isinstance(member, Team):
                self._check_ids(member)

    def _check_databases(self) -> None:
        for member in self.members.values():
            if member.db is not None and (self.db is None or self.db != member.db):
                message = (
                    f"The member {member.id!r} names a database of its own, but its runs are kept "
                    f"with the team's: pass db= to the team {self.id!r}, and to no member."
                )
                raise InvalidDefinition(message)


def _members(given: Sequence[object]) -> list[ModelComponent]:
    found: list[ModelComponent] = []
    members: list[object] = a_list("members", given)
    for member in members:
        if not isinstance(member, ModelComponent):
            message = f"{member!r} cannot be a member of a team: use an Agent or a Team."
            raise InvalidDefinition(message)
        found.append(member)
    if not found:
        message = "A team needs members: pass members=[…] with one agent or more."
        raise InvalidDefinition(message)
    ids = [member.id for member in found]
    double = sorted({one for one in ids if ids.count(one) > 1})
    if double:
        message = (
            f"Two members have the id {double[0]!r}: the leader could not tell them apart. Pass "
            "another id= or name= to one."
        )
        raise InvalidDefinition(message)
    return found


def _a_mode(mode: Mode) -> Mode:
    # Not in the dict: what has no hash is no mode either.
    if mode in tuple(MODES):
        return mode
    message = f"mode is {mode!r}: use one of {', '.join(MODES)}."
    raise InvalidDefinition(message)
