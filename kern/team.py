"""Teams: a leader that delegates work to members, each of which has a run of its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Unpack

from pydantic import JsonValue

from kern.components.agents.model_component import ModelComponent, ModelDefinition, ModelOptions
from kern.components.agents.option_checks import require_filled, require_list
from kern.components.agents.team_modes import MODES
from kern.components.component import definition_of
from kern.context.instructions import Context, window_of
from kern.errors import InvalidDefinition
from kern.models.base import Model
from kern.tools.tool import Function, Tool
from kern.values.validation import require_bools

Mode = Literal["coordinate", "route", "broadcast", "tasks"]


class Team(ModelComponent):
    """A leader with members, which are agents or teams; its runs are runs like any other.

    A member's run belongs to the team's run: it is in the same session, has a row of its own, and
    waits for people by itself while the other members continue. The leader sees of it only what is
    stored. Every method has an async twin whose name begins with `a`.

    Args:
        members: The agents and teams that do the work, each with an id of its own. The `role` of a
            member says to the leader what it is for.
        model: The leader's model.
        mode: `coordinate`: the leader gives tasks to members and sums up. `route`: it chooses one
            member, whose answer is the answer. `broadcast`: all members are asked at once, and the
            leader sums up. `tasks`: it keeps a list of tasks until all are done or dropped.
        tools: What the leader may call besides its members.
        share_member_interactions: Whether a member sees what the others have done earlier in the
            run.
        add_team_history_to_members: Whether members see earlier runs of the team's session, as many
            as the history options allow.
        options: The options of an `Agent`; they apply to the leader.

    Raises:
        InvalidDefinition: there are no members, two have the same id, one is no agent or team, or a
            value makes no sense.
    """

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
        require_bools(
            share_member_interactions=share_member_interactions,
            add_team_history_to_members=add_team_history_to_members,
        )
        self.members = {member.id: member for member in _require_members(members)}
        self.mode: Mode = _require_mode(mode)
        self._turn_policy = MODES[mode](self.members, sees_siblings=share_member_interactions)
        self.share_member_interactions = share_member_interactions
        self.add_team_history_to_members = add_team_history_to_members
        if mode == "route" and options.get("output_schema") is not None:
            message = (
                "A team that routes gives a member's answer: pass output_schema to the members, "
                "not to the team."
            )
            raise InvalidDefinition(message)
        require_filled(id=options.get("id"), name=options.get("name"))
        super().__init__(model=model, tools=[*tools, *self._turn_policy.tools()], **options)
        self._check_ids(self)
        self._check_databases()

    def _define(self) -> ModelDefinition:
        leader = super()._define()

        def declare() -> JsonValue:
            declaration: list[JsonValue] = [
                leader.fingerprint,
                self.mode,
                self.share_member_interactions,
                self.add_team_history_to_members,
            ]
            members = self.members.values()
            declaration.extend([member.id, definition_of(member).fingerprint] for member in members)
            return declaration

        return replace(
            leader,
            kind="team",
            declare=declare,
            parts=tuple(self.members.values()),
            context=self._leader_context(),
            turn_policy=self._turn_policy,
        )

    def _leader_context(self) -> Context:
        """Return what the leader is shown, including who its members are."""
        lines = [f"- {member.id}: {member.role or member.name}" for member in self.members.values()]
        brief = "\n".join(["You lead a team. Its members:", *lines])
        rules = self._turn_policy.rules
        instructions = "\n\n".join(filter(None, [self.instructions, brief, rules]))
        members_window = None
        if self.add_team_history_to_members:
            members_window = window_of(
                is_shown=True,
                runs=self.num_history_runs,
                messages=self.num_history_messages,
                tool_calls=None,
            )
        return self._context.leading(
            instructions, members_window, shows_calls=self._turn_policy.shows_calls
        )

    def _check_ids(self, team: "Team") -> None:
        """Refuse a member, at any depth, that has this team's own id."""
        for member in team.members.values():
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


def _require_members(value: Sequence[object]) -> list[ModelComponent]:
    members: list[ModelComponent] = []
    candidates: list[object] = require_list("members", value)
    for candidate in candidates:
        if not isinstance(candidate, ModelComponent):
            message = f"{candidate!r} cannot be a member of a team: use an Agent or a Team."
            raise InvalidDefinition(message)
        members.append(candidate)
    if not members:
        message = "A team needs members: pass members=[…] with one agent or more."
        raise InvalidDefinition(message)
    ids = [member.id for member in members]
    duplicates = sorted({member_id for member_id in ids if ids.count(member_id) > 1})
    if duplicates:
        message = (
            f"Two members have the id {duplicates[0]!r}: the leader could not distinguish them. "
            "Pass another id= or name= to one."
        )
        raise InvalidDefinition(message)
    return members


def _require_mode(mode: Mode) -> Mode:
    # A tuple instead of the dict, since a wrong value may have no hash.
    if mode in tuple(MODES):
        return mode
    message = f"mode is {mode!r}: use one of {', '.join(MODES)}."
    raise InvalidDefinition(message)
