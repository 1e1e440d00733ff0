"""Whether a row of the inbox shows enough to approve what it shows."""

from kern.client.console.facts import Facts, arguments_of, is_edited
from kern.client.console.text import row_call
from kern.requirements import Requirement
from kern.values.states import RequirementKind, RequirementStatus
from kern.values.visible_text import misleading

# So much of a call fits on a row.
ROW_LENGTH = 160


def can_approve_on_row(requirement: Requirement, facts: Facts, *, may_decide: bool) -> bool:
    """Whether a row may offer to approve: it shows everything that would run, and nothing else.

    That is so for a pending confirmation that the person may decide, of low or normal risk and
    without anything to type, if one approval is missing, nothing was edited, no effect came
    before it, no character is spelled out, and every argument is on the row.
    """
    return can_approve_in_group(requirement, facts, may_decide=may_decide) and not missing_on_row(
        requirement, facts
    )


def can_approve_in_group(requirement: Requirement, facts: Facts, *, may_decide: bool) -> bool:
    """Whether a table of look-alikes may offer it: as on a row, whatever the length."""
    return (
        may_decide
        and requirement.kind is RequirementKind.confirmation
        and requirement.status is RequirementStatus.pending
        and facts.risk != "high"
        and facts.confirm_value is None
        and requirement.quorum - requirement.approvals == 1
        and not requirement.earlier_calls
        and not is_edited(requirement, facts)
        and not has_misleading_text(requirement, facts)
    )


def missing_on_row(requirement: Requirement, facts: Facts) -> int:
    """Return how many arguments do not fit on the row."""
    return row_call(requirement.tool_name or "", arguments_of(requirement, facts), ROW_LENGTH)[1]


def has_misleading_text(requirement: Requirement, facts: Facts) -> bool:
    """Whether any character of the call could be misread."""
    texts = [requirement.tool_name or "", facts.title or ""]
    values: list[object] = [arguments_of(requirement, facts)]
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
