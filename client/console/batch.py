"""The result of deciding look-alikes together: what was accepted, and what was skipped and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import JsonValue

from kern.client.console.addresses import requirement_url
from kern.client.console.facts import Facts, arguments_of, grouped_amount
from kern.client.console.states import State
from kern.requirements import Requirement


@dataclass(frozen=True)
class BatchItem:
    """One of the decisions.

    Attributes:
        requirement: What it is about; None where there is none, as far as the person may know.
        state: Where it stands now; None if it was skipped, or is not known.
        entry: Where the decision stands in the log, such as `number 4,814`.
        skipped: Why it was skipped; it is still open, or somebody else decided.
    """

    requirement: Requirement | None
    facts: Facts
    state: State | None = None
    entry: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class BatchRow:
    """A row of the result; `url` is None where there is nothing to open."""

    url: str | None
    cells: list[JsonValue]
    state: State | None
    entry: str
    skipped: str


@dataclass(frozen=True)
class BatchView:
    """What the page of a batch's result shows."""

    verdict: Literal["approved", "rejected"]
    columns: list[str]
    rows: list[BatchRow]
    tool: str
    accepted: int
    total: str | None
    remaining: int | None

    @property
    def skipped(self) -> int:
        """How many were skipped."""
        return len(self.rows) - self.accepted


def batch_view(
    items: Sequence[BatchItem],
    verdict: Literal["approved", "rejected"],
    *,
    remaining: int | None = None,
) -> BatchView:
    """Return the result of a batch; `remaining` is how many decisions still wait for the person."""
    arguments = [
        {} if item.requirement is None else arguments_of(item.requirement, item.facts)
        for item in items
    ]
    present = [item.requirement for item in items if item.requirement is not None]
    columns = list(dict.fromkeys(name for values in arguments for name in values))
    accepted = [item for item in items if not item.skipped]
    return BatchView(
        verdict=verdict,
        columns=columns,
        rows=[
            BatchRow(
                None if item.requirement is None else requirement_url(item.requirement.id),
                [values.get(name) for name in columns],
                item.state,
                item.entry,
                item.skipped,
            )
            for item, values in zip(items, arguments, strict=True)
        ],
        tool=present[0].tool_name or "" if present else "",
        accepted=len(accepted),
        total=_total(accepted),
        remaining=remaining,
    )


def _total(accepted: Sequence[BatchItem]) -> str | None:
    sums = [item.facts.sum for item in accepted]
    units = {item.facts.unit for item in accepted}
    if len(units) != 1 or None in sums:
        return None
    total = sum((value for value in sums if value is not None), Decimal(0))
    return f"{grouped_amount(total)} {units.pop() or ''}".rstrip()
