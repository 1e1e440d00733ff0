"""Which calls may be approved from where one sees many of them: from a row, or in a batch.

Whoever decides about one call reads its page. Whoever approves from a list has only a glance, so
the list offers it where a glance is enough, and the service refuses the rest.
"""

from enum import StrEnum

from kern.requirements import Requirement
from kern.values.states import RequirementKind, RequirementStatus, Risk
from kern.values.visible_text import misleading


class Obstacle(StrEnum):
    """Why a call has to be opened before it is approved."""

    not_confirmation = "not_confirmation"
    closed = "closed"
    high_risk = "high_risk"
    typed_confirmation = "typed_confirmation"
    more_approvals = "more_approvals"
    earlier_calls = "earlier_calls"
    edited = "edited"
    misleading_text = "misleading_text"

    @property
    def sentence(self) -> str:
        """The obstacle in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Obstacle.not_confirmation: "It asks for more than an approval",
    Obstacle.closed: "It is closed",
    Obstacle.high_risk: "Its author calls it a high risk",
    Obstacle.typed_confirmation: "Its author has something typed before it is approved",
    Obstacle.more_approvals: "One approval does not resolve it",
    Obstacle.earlier_calls: "The session has executed such a call before",
    Obstacle.edited: "Somebody has changed what was asked for",
    Obstacle.misleading_text: "A character in it could be misread",
}


def obstacle_of(requirement: Requirement) -> Obstacle | None:
    """Return why a call may not be approved from a list; None if it may.

    It may if it is a pending confirmation of low or normal risk and without anything to type, one
    approval is missing, nothing was edited, no effect came before it, and no character could be
    misread.
    """
    obstacles = {
        Obstacle.not_confirmation: requirement.kind is not RequirementKind.confirmation,
        Obstacle.closed: requirement.status is not RequirementStatus.pending,
        Obstacle.high_risk: requirement.risk is Risk.high,
        Obstacle.typed_confirmation: requirement.confirm_value is not None,
        Obstacle.more_approvals: requirement.quorum - requirement.approvals != 1,
        Obstacle.earlier_calls: bool(requirement.earlier_calls),
        Obstacle.edited: _is_edited(requirement),
    }
    first = next((obstacle for obstacle, is_there in obstacles.items() if is_there), None)
    if first is None and _has_misleading_text(requirement):
        return Obstacle.misleading_text
    return first


def _is_edited(requirement: Requirement) -> bool:
    return requirement.current_arguments != requirement.arguments or any(
        proposal.edit is not None for proposal in requirement.proposals
    )


def _has_misleading_text(requirement: Requirement) -> bool:
    texts = [requirement.tool_name or "", requirement.title or ""]
    values: list[object] = [requirement.current_arguments]
    while values:
        value = values.pop()
        match value:
            case str():
                texts.append(value)
            case dict():
                texts.extend(str(key) for key in value)
                values.extend(value.values())
            case list():
                values.extend(value)
            case _:
                pass
    return any(misleading(text) for text in texts)
