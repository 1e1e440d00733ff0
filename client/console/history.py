"""What has happened to a requirement, and what was said before it came up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from kern.client.console.states import verdict_word
from kern.contracts.reports import Decision, RunReport
from kern.requirements import Requirement
from kern.values.states import RequirementStatus, Verdict
from kern.values.visible_text import exact

if TYPE_CHECKING:
    from pydantic import JsonValue

Mark = Literal["", "done", "now", "wait", "bad"]
# So many of the latest messages stand on the page of a decision.
_MOST_MESSAGES = 6
_BAD = frozenset({Verdict.reject, Verdict.fail, Verdict.unknown})


@dataclass(frozen=True)
class Event:
    """An entry of a history: what, by whom, when."""

    title: str
    text: str = ""
    at: datetime | None = None
    note: str | None = None
    detail: str = ""
    mark: Mark = "done"


@dataclass(frozen=True)
class Speech:
    """A message of a conversation."""

    speaker: str
    text: str
    at: datetime | None = None
    turn: int | None = None
    is_user: bool = False


def history_of(
    requirement: Requirement, report: RunReport | None, events: Sequence[Event] = ()
) -> list[Event]:
    """Return what has happened to a requirement, in order.

    Args:
        requirement: The requirement.
        report: The report of its run, for the decisions.
        events: What else is known, such as reminders, escalations and comments.
    """
    caller = requirement.path[0] if requirement.path else "a run"
    owner = f", for {requirement.user_id}" if requirement.user_id else ""
    first = Event("Asked", f"by {caller}{owner}", requirement.created_at)
    decisions = [] if report is None else report.decisions
    entries = [
        *events,
        *(_event(item, requirement) for item in decisions if item.requirement_id == requirement.id),
    ]
    ordered = sorted(entries, key=lambda event: event.at or requirement.created_at)
    return [first, *ordered, *_open_end(requirement)]


def messages_of(report: RunReport | None) -> tuple[list[Speech], int]:
    """Return the latest messages of people and of the model, and how many there are."""
    if report is None:
        return [], 0
    turn = 0
    speeches: list[Speech] = []
    for message in report.run.messages:
        turn += message.role == "assistant"
        if message.role == "user":
            speaker = report.run.user_id or "user"
            speeches.append(Speech(speaker, message.content, message.created_at, is_user=True))
        elif message.role == "assistant" and message.content:
            agent = report.run.component_id
            speeches.append(Speech(agent, message.content, message.created_at, turn))
    return speeches[-_MOST_MESSAGES:], len(speeches)


def _event(decision: Decision, requirement: Requirement) -> Event:
    edit = changes_of(requirement, decision.edit)
    title = verdict_word(decision.verdict)
    if edit:
        title = f"Changed and {title.lower()}"
    changed = f": {edit}" if edit else ""
    return Event(
        title,
        f"by {decision.by}{changed}",
        decision.at,
        decision.note,
        f"decision {decision.seq} of its run, {decision.hash[:12]}",
        "bad" if decision.verdict in _BAD else "done",
    )


def changes_of(requirement: Requirement, edit: "dict[str, JsonValue] | None") -> str:
    """Return what an edit changes, such as `amount 14250 → 12500`."""
    changes = [
        f"{name} {exact(requirement.arguments.get(name))} → {exact(value)}"
        for name, value in (edit or {}).items()
        if requirement.arguments.get(name) != value
    ]
    return ", ".join(changes)


def _open_end(requirement: Requirement) -> list[Event]:
    if requirement.status is RequirementStatus.pending:
        again = requirement.approvals > 0
        return [Event("Waiting for another person" if again else "Waiting", mark="now")]
    if requirement.status is RequirementStatus.expired:
        at = requirement.resolution.at if requirement.resolution else requirement.due_at
        return [Event("Deadline passed", "without a decision", at, mark="bad")]
    return []
