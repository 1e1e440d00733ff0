"""Look-alikes: what they have in common is said once, and what differs is a column."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pydantic import JsonValue

from kern.client.console.addresses import requirement_url
from kern.client.console.facts import Facts, arguments_of, digest_of, grouped_amount
from kern.client.console.text import path_text
from kern.requirements import Requirement
from kern.values.visible_text import exact, plain, spelled


@dataclass(frozen=True)
class GroupRow:
    """One of them: the values of the columns, and what is posted for it."""

    id: str
    digest: str
    cells: list[JsonValue]
    amount: str | None
    label: str
    created_at: datetime
    url: str

    @property
    def item(self) -> str:
        """What is posted: which one, and the digest of what was shown."""
        return f"{self.id}:{self.digest}"


@dataclass(frozen=True)
class Group:
    """Look-alikes in one table.

    Attributes:
        title: How many, of what, and over which amounts.
        call: The call with what they have in common.
        columns: The arguments that differ, and whether they are numbers.
        total: The sum of the amounts, with two decimals; None where they have none.
        unit: What is summed.
    """

    title: str
    tool: str
    where: str
    call: str
    columns: list[tuple[str, bool]]
    rows: list[GroupRow]
    total: str | None
    unit: str
    created_at: datetime
    decision_id: str

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rows)


def group_of(members: Sequence[tuple[Requirement, Facts]], decision_id: str = "") -> Group:
    """Return the group of some look-alikes: the same tool, and arguments of the same names.

    `decision_id` is a new id for what is decided about them: posted twice, it counts once.
    """
    first, first_facts = members[0]
    arguments = [arguments_of(item, facts) for item, facts in members]
    names = list(dict.fromkeys(name for values in arguments for name in values))
    columns = [name for name in names if _differs(name, arguments)]
    sums = [facts.sum for _, facts in members]
    unit = first_facts.unit or ""
    is_summed = (
        all(value is not None for value in sums) and len({facts.unit for _, facts in members}) == 1
    )
    amounts = [value for value in sums if value is not None] if is_summed else []
    tool = first.tool_name or ""
    return Group(
        title=_title(len(members), tool, amounts, unit),
        tool=tool,
        where=path_text(first.path),
        call=_call(tool, names, columns, arguments[0]),
        columns=[
            (name, all(_is_number(values.get(name)) for values in arguments)) for name in columns
        ],
        rows=[_row(item, facts, columns) for item, facts in members],
        total=f"{sum(amounts, Decimal(0)):.2f}" if amounts else None,
        unit=unit,
        created_at=min(item.created_at for item, _ in members),
        decision_id=decision_id,
    )


def _row(item: Requirement, facts: Facts, columns: Sequence[str]) -> GroupRow:
    arguments = arguments_of(item, facts)
    cells = [arguments.get(name) for name in columns]
    return GroupRow(
        id=item.id,
        digest=digest_of(item, facts),
        cells=cells,
        amount=None if facts.sum is None else str(facts.sum),
        label=", ".join(value if isinstance(value, str) else exact(value) for value in cells),
        created_at=item.created_at,
        url=requirement_url(item.id),
    )


def _title(count: int, tool: str, amounts: Sequence[Decimal], unit: str) -> str:
    title = f"{count} similar calls of {plain(tool)}"
    if not amounts:
        return title
    least, most = grouped_amount(min(amounts)), grouped_amount(max(amounts))
    span = least if least == most else f"{least} to {most}"
    return f"{title}, {span} {unit}".rstrip()


def _call(
    tool: str, names: Sequence[str], columns: Sequence[str], arguments: dict[str, JsonValue]
) -> str:
    # Where the values differ, no value stands: a JSON value never begins with a sign like this.
    parameters = ", ".join(
        f"{spelled(name)}={'*' if name in columns else exact(arguments.get(name))}"
        for name in names
    )
    return f"{spelled(tool)}({parameters})"


def _differs(name: str, arguments: Sequence[dict[str, JsonValue]]) -> bool:
    return len({exact(values.get(name)) for values in arguments}) > 1


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
