"""What a page shows of a requirement beside the requirement itself, all of it optional."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import JsonValue

from kern.requirements import Requirement

Risk = Literal["low", "normal", "high"]


@dataclass(frozen=True)
class Facts:
    """How its author presents a call, and how far it has come.

    Attributes:
        title: The rendered title; None for the call as text.
        consequence: What approving it does, in one sentence.
        confirm_value: What has to be typed before it is approved.
        bounds: What an edit may change, as a JSON Schema for each argument; None for everything.
        subject: What the call is about, such as the id of an order.
        amount: How much it is about, as a number; `unit` says of what.
        where_to_look: Where a person finds out whether it happened.
        delivered_at: When the decision reached Temporal; None if that is not known.
        current_arguments: The arguments as last edited; None if nobody edited them.
        current_digest: The digest of those.
        edited_by: Who edited them.
        shape: What look-alikes have in common.
    """

    title: str | None = None
    risk: Risk = "normal"
    consequence: str | None = None
    confirm_value: str | None = None
    bounds: Mapping[str, JsonValue] | None = None
    subject: str | None = None
    amount: str | None = None
    unit: str | None = None
    where_to_look: str | None = None
    delivered_at: datetime | None = None
    current_arguments: dict[str, JsonValue] | None = None
    current_digest: str | None = None
    edited_by: str | None = None
    shape: str | None = None

    @property
    def sum(self) -> Decimal | None:
        """The amount as a number, if it is one."""
        try:
            value = Decimal(self.amount or "")
        except InvalidOperation:
            return None
        return value if value.is_finite() else None

    @property
    def money(self) -> str | None:
        """The amount as titles write it: grouped, with two decimals at least, and its unit."""
        if self.sum is None:
            return None
        return f"{grouped_amount(self.sum)} {self.unit}" if self.unit else grouped_amount(self.sum)


def grouped_amount(amount: Decimal) -> str:
    """Return an amount with its thousands grouped, and no digit lost."""
    exponent = amount.as_tuple().exponent
    decimals = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{amount:,.{decimals}f}"


def arguments_of(requirement: Requirement, facts: Facts) -> dict[str, JsonValue]:
    """Return the arguments under review: those that would run."""
    current = facts.current_arguments
    return requirement.arguments if current is None else current


def digest_of(requirement: Requirement, facts: Facts) -> str:
    """Return the digest of the arguments under review."""
    return facts.current_digest or requirement.digest


def is_edited(requirement: Requirement, facts: Facts) -> bool:
    """Whether anybody has changed what the agent asked for."""
    return arguments_of(requirement, facts) != requirement.arguments or any(
        proposal.edit is not None for proposal in requirement.proposals
    )
