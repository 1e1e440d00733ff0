"""The inbox: what waits, in the order in which it is due, and what can be decided from there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from kern.client.console.addresses import requirement_url
from kern.client.console.facts import Facts, arguments_of, digest_of, is_edited
from kern.client.console.groups import Group, group_of
from kern.client.console.history import changes_of
from kern.client.console.problems import Problem
from kern.client.console.requirement import title_of
from kern.client.console.row_approval import (
    ROW_LENGTH,
    can_approve_in_group,
    can_approve_on_row,
    missing_on_row,
)
from kern.client.console.states import verdict_word
from kern.client.console.text import path_text, row_call
from kern.client.console.times import clock
from kern.contracts.triage import Absence
from kern.requirements import Requirement
from kern.values.states import RequirementKind, RequirementStatus

# Calls whose text says what is decided; a form or a choice is opened.
_WITH_CALL = frozenset(
    {
        RequirementKind.confirmation,
        RequirementKind.unknown_outcome,
        RequirementKind.external_execution,
    }
)
_LONGEST_QUOTE = 140
# From this many look-alikes on, they are decided in one table.
_LEAST_GROUP = 2
MOST_IN_GROUP = 25


@dataclass(frozen=True)
class Entry:
    """A requirement as the service hands it over for a row.

    Attributes:
        quote: The agent's words of the turn in which it came up.
        may_decide: Whether who looks may decide.
        decision_id: A new id for the decision from the row.
        closed: What has become of it, if it was decided elsewhere: one sentence.
        problem: Why a decision from the row was refused.
    """

    requirement: Requirement
    facts: Facts = field(default_factory=Facts)
    quote: str | None = None
    may_decide: bool = True
    decision_id: str = ""
    closed: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Row:
    """A row of the inbox.

    Attributes:
        call: The call on one line; None where it is no call.
        missing: How many arguments did not fit.
        tags: The kind and how many have approved, with their classes.
        meta: Where it came up, and what is special about it.
        can_approve: Whether it may be decided from the row.
    """

    id: str
    url: str
    title: str
    call: str | None
    missing: int
    tags: list[tuple[str, str]]
    meta: list[str]
    quote: str | None
    created_at: datetime
    due_at: datetime | None
    is_due_soon: bool
    can_approve: bool
    digest: str
    decision_id: str
    closed: str | None
    problem: Problem | None


@dataclass(frozen=True)
class Section:
    """A part of the inbox: a heading, and in order rows that follow one another, and groups."""

    title: str
    count: int
    blocks: list["list[Row] | Group"]


@dataclass(frozen=True)
class Tab:
    """A view of the inbox, as a link."""

    label: str
    url: str
    count: str | None = None
    is_current: bool = False


@dataclass(frozen=True)
class Select:
    """A list of a filter: each option's value, its label, and which is selected."""

    name: str
    label: str
    options: list[tuple[str, str]]
    selected: str = ""


@dataclass(frozen=True)
class Checks:
    """What an empty inbox has looked at.

    Attributes:
        open: How many open decisions were checked.
        at: When.
        names: On whose behalf: the person and their groups.
        last_decision_at: When who looks decided last.
        snoozed: How many they have put off.
        snoozed_until: When the next of those is back.
        health: Figures, with what is behind them.
    """

    open: int
    at: datetime
    names: tuple[str, ...] = ()
    last_decision_at: datetime | None = None
    snoozed: int = 0
    snoozed_until: datetime | None = None
    health: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class AwayForm:
    """The form in which who looks says that they are away.

    Attributes:
        absence: What they said before; None if they are not away.
        until: What they typed, and was refused.
    """

    absence: Absence | None = None
    until: str = ""
    since: str = ""
    note: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether something was typed already."""
        return bool(self.until or self.since or self.note)


@dataclass(frozen=True)
class InboxView:
    """What the page of the inbox shows."""

    scope: Literal["me", "all", "claimed", "snoozed", "closed"]
    sections: list[Section]
    tabs: list[Tab]
    selects: list[Select]
    query: str
    count: int
    open: int
    next_due: datetime | None
    checks: Checks
    next_url: str | None = None
    problem: Problem | None = None
    away: AwayForm | None = None

    @property
    def on_page(self) -> int:
        """How many decisions stand on this page."""
        return sum(section.count for section in self.sections)


def inbox_view(
    entries: Sequence[Entry],
    now: datetime,
    checks: Checks,
    *,
    scope: Literal["me", "all", "claimed", "snoozed", "closed"] = "me",
    count: int | None = None,
    tabs: Sequence[Tab] = (),
    selects: Sequence[Select] = (),
    query: str = "",
    next_url: str | None = None,
    problem: Problem | None = None,
    away: AwayForm | None = None,
) -> InboxView:
    """Return what the inbox shows.

    Args:
        entries: The page of requirements, in order.
        now: The server's clock.
        checks: What was looked at, for the header and for an empty page.
        scope: Which of them were asked for.
        count: How many there are beyond this page; None for those of the page.
        tabs: The views of the inbox.
        selects: The filters.
        query: What was searched for.
        next_url: Where the next page is.
        problem: Why something was refused.
        away: How who looks says that they are away; None where they cannot.
    """
    parts = (
        [("The latest first", entries)]
        if scope == "closed"
        else [
            ("Due today", [item for item in entries if _is_due_today(item.requirement, now)]),
            (
                "No deadline today",
                [item for item in entries if not _is_due_today(item.requirement, now)],
            ),
        ]
    )
    sections = [Section(title, len(part), _blocks(part, now)) for title, part in parts if part]
    due = [item.requirement.due_at for item in entries if item.requirement.due_at is not None]
    return InboxView(
        scope=scope,
        sections=sections,
        tabs=list(tabs),
        selects=list(selects),
        query=query,
        count=len(entries) if count is None else count,
        open=checks.open,
        next_due=min(due, default=None),
        checks=checks,
        next_url=next_url,
        problem=problem,
        away=away,
    )


def row_of(entry: Entry, now: datetime) -> Row:
    """Return a row of the inbox."""
    item, facts = entry.requirement, entry.facts
    arguments = arguments_of(item, facts)
    has_call = item.kind in _WITH_CALL and item.tool_name
    due = item.due_at
    return Row(
        id=item.id,
        url=requirement_url(item.id),
        title=title_of(item, facts),
        call=row_call(item.tool_name or "", arguments, ROW_LENGTH)[0] if has_call else None,
        missing=missing_on_row(item, facts) if has_call else 0,
        tags=_tags(item, facts),
        meta=_meta(entry),
        quote=_first_sentence(entry.quote),
        created_at=item.created_at,
        due_at=due,
        is_due_soon=due is not None and (due - now).total_seconds() < 60 * 60,
        can_approve=entry.closed is None
        and can_approve_on_row(item, facts, may_decide=entry.may_decide),
        digest=digest_of(item, facts),
        decision_id=entry.decision_id,
        closed=entry.closed or _closed(item),
        problem=entry.problem,
    )


def _blocks(entries: Sequence[Entry], now: datetime) -> list[list[Row] | Group]:
    """Return rows in order; look-alikes make one group, where the first of them stands."""
    by_shape: dict[str, list[Entry]] = {}
    for entry in entries:
        if _can_group(entry):
            by_shape.setdefault(entry.facts.shape or "", []).append(entry)
    grouped = {
        shape: alike[:MOST_IN_GROUP]
        for shape, alike in by_shape.items()
        if len(alike) >= _LEAST_GROUP
    }
    in_groups = {entry.requirement.id for alike in grouped.values() for entry in alike}
    blocks: list[list[Row] | Group] = []
    for entry in entries:
        if entry.requirement.id not in in_groups:
            if not blocks or isinstance(blocks[-1], Group):
                blocks.append([])
            cast("list[Row]", blocks[-1]).append(row_of(entry, now))
        elif (alike := grouped.pop(entry.facts.shape or "", None)) is not None:
            members = [(item.requirement, item.facts) for item in alike]
            blocks.append(group_of(members, alike[0].decision_id))
    return blocks


def _can_group(entry: Entry) -> bool:
    return (
        entry.facts.shape is not None
        and entry.closed is None
        and can_approve_in_group(entry.requirement, entry.facts, may_decide=entry.may_decide)
    )


def _tags(item: Requirement, facts: Facts) -> list[tuple[str, str]]:
    kinds = {
        RequirementKind.unknown_outcome: ("Unknown outcome", "bad"),
        RequirementKind.error: ("Step failed", "bad"),
        RequirementKind.user_feedback: ("Choice", ""),
        RequirementKind.user_input: (_count(len(item.fields), "value"), ""),
        RequirementKind.output_review: ("Output", ""),
        RequirementKind.external_execution: ("Result", ""),
    }
    tags = [("High risk", "high")] if facts.risk == "high" else []
    if item.kind in kinds:
        tags.append(kinds[item.kind])
    if item.quorum > 1:
        tags.append((f"{item.approvals} of {item.quorum} approved", ""))
    return tags


def _meta(entry: Entry) -> list[str]:
    item, facts = entry.requirement, entry.facts
    where = path_text(item.path) or "a run"
    parts = [f"{where} for {item.user_id}" if item.user_id else where]
    if is_edited(item, facts):
        by = facts.edited_by or ", ".join(
            dict.fromkeys(
                name for proposal in item.proposals if proposal.edit for name in proposal.by
            )
        )
        changes = changes_of(item, facts.current_arguments)
        parts.append(f"{by} changed {changes}" if changes else f"{by} changed it")
    if item.earlier_calls:
        parts.append(f"this session already executed {item.tool_name}")
    if item.kind is RequirementKind.user_feedback:
        many = "pick one or more" if item.multiple else "pick one"
        parts.append(f"{many} of {len(item.choices)}")
    if item.attempt is not None:
        parts.append(item.attempt.sentence)
    return parts


def _closed(item: Requirement) -> str | None:
    if item.status is RequirementStatus.pending:
        return None
    if item.resolution is None:
        return f"It is {item.status.value}."
    at = clock(item.resolution.at, seconds=True)
    return f"{verdict_word(item.resolution.verdict)} by {item.resolution.by} at {at} UTC."


def _first_sentence(quote: str | None) -> str | None:
    """Return the first sentence of what the agent wrote, on one line."""
    if not quote or not quote.strip():
        return None
    line = " ".join(quote.split())
    end = min((line.find(mark) for mark in (". ", "! ", "? ") if mark in line), default=-1)
    sentence = line if end < 0 else line[: end + 1]
    return sentence if len(sentence) <= _LONGEST_QUOTE else f"{sentence[:_LONGEST_QUOTE]}..."


def _is_due_today(item: Requirement, now: datetime) -> bool:
    return item.due_at is not None and item.due_at.astimezone(UTC).date() <= now.date()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def capped(count: int, cap: int = 1000) -> str:
    """Return a count as tabs show it: exact up to a thousand, then `1,000+`."""
    return f"{count:,}" if count <= cap else f"{cap:,}+"
