"""Whether a row of the inbox shows enough to approve what it shows."""

from kern.client.console.facts import Facts, arguments_of
from kern.client.console.text import row_call
from kern.contracts.short_path import obstacle_of
from kern.requirements import Requirement
from kern.values.states import Risk

# So much of a call fits on a row.
ROW_LENGTH = 160


def can_approve_on_row(requirement: Requirement, facts: Facts, *, may_decide: bool) -> bool:
    """Whether a row may offer to approve: it shows everything that would run, and nothing else.

    That is so for what may be approved from a list, if every argument is on the row.
    """
    return can_approve_in_group(requirement, facts, may_decide=may_decide) and not missing_on_row(
        requirement, facts
    )


def can_approve_in_group(requirement: Requirement, facts: Facts, *, may_decide: bool) -> bool:
    """Whether a table of look-alikes may offer it: as on a row, whatever the length."""
    shown = requirement.model_copy(
        update={
            "title": facts.title,
            "risk": Risk(facts.risk),
            "confirm_value": facts.confirm_value,
            "current_arguments": arguments_of(requirement, facts),
        }
    )
    return may_decide and obstacle_of(shown) is None


def missing_on_row(requirement: Requirement, facts: Facts) -> int:
    """Return how many arguments do not fit on the row."""
    return row_call(requirement.tool_name or "", arguments_of(requirement, facts), ROW_LENGTH)[1]
