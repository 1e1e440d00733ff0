"""The state of a decision and of its call, in the words of pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kern.client.console.facts import Facts
from kern.contracts.decision_states import StateName, decision_state
from kern.contracts.reports import RunReport
from kern.requirements import Requirement
from kern.run import ToolExecution
from kern.values.states import OnExpiry, RequirementKind, RequirementStatus, Verdict

Style = Literal["", "wait", "live-now", "good", "bad", "high"]
StageMark = Literal["done", "now", "bad", "open"]

_STYLES: dict[StateName, Style] = {
    "waiting": "wait",
    "waiting_for_more": "wait",
    "undelivered": "live-now",
    "delivered": "live-now",
    "executing": "live-now",
    "done": "good",
    "error": "bad",
    "not_executed": "bad",
    "unknown": "bad",
    "recorded": "good",
}
_LABELS: dict[StateName, str] = {
    "waiting_for_more": "Waiting for one more",
    "undelivered": "Accepted, not delivered yet",
    "delivered": "Delivered, not started",
    "executing": "Executing",
    "done": "Done",
    "error": "Done, with an error",
    "not_executed": "Not executed",
    "unknown": "Unknown",
    "recorded": "Recorded",
    "withdrawn": "Withdrawn",
    "cancelled": "Cancelled with its run",
}
_EXPIRED = {
    OnExpiry.reject: "Rejected by deadline",
    OnExpiry.approve: "Approved by deadline",
    OnExpiry.fail: "Failed by deadline",
}


@dataclass(frozen=True)
class Stage:
    """A point of the state line: what, when, and whether it has been reached."""

    label: str
    mark: StageMark = "open"
    at: datetime | None = None


@dataclass(frozen=True)
class State:
    """Where a decision and its call stand.

    Attributes:
        name: The state, for templates.
        label: The state, for people.
        style: The class of its tag.
        since: Since when, if a row says so.
        attempt: The number of the attempt that executes it.
        result: What the tool returned or raised, or why nothing was executed.
        can_withdraw: Whether an approval can still be taken back.
    """

    name: StateName
    label: str
    style: Style = ""
    since: datetime | None = None
    attempt: int = 0
    result: str | None = None
    can_withdraw: bool = False


def call_of(requirement: Requirement, report: RunReport | None) -> ToolExecution | None:
    """Return the call that a requirement is about, of the report of its run or one above it."""
    if report is None or requirement.tool_call_id is None:
        return None
    for call in report.run.tools:
        if call.id == requirement.tool_call_id:
            return call
    calls = (call_of(requirement, child) for child in report.children.values())
    return next((call for call in calls if call is not None), None)


def state_of(
    requirement: Requirement, facts: Facts, call: ToolExecution | None, *, waits_for: str
) -> State:
    """Return the state of a requirement.

    Args:
        requirement: The requirement as its rows say.
        facts: What else is known.
        call: Its call; None if it has none, or it was not read.
        waits_for: For whom it waits, such as `you`.
    """
    core = decision_state(requirement, call, facts.delivered_at)
    return State(
        core.state,
        _label(core.state, requirement, waits_for),
        _STYLES.get(core.state, ""),
        core.since,
        core.attempt,
        core.result,
        core.can_withdraw,
    )


def stages_of(requirement: Requirement, facts: Facts, state: State) -> list[Stage]:
    """Return the state line: what has been reached, what is next, and what would follow."""
    if requirement.kind is RequirementKind.unknown_outcome and state.name == "waiting":
        begun_at = None if requirement.attempt is None else requirement.attempt.begun_at
        start = [Stage("Begun", "done", begun_at)] if begun_at else []
        return [*start, Stage("Unknown since", "bad", requirement.created_at)]
    stages = [Stage("Asked", "done", requirement.created_at)]
    resolution = requirement.resolution
    if requirement.status is RequirementStatus.pending:
        stages += [Stage(f"{name} approved", "done") for name in _approvers(requirement)]
        more = requirement.approvals > 0
        stages.append(Stage("Another approval" if more else "Decision", "now"))
        ahead = ("Accepted", "Delivered", "Executing", "Done")
        return stages + [Stage(label) for label in ahead]
    if resolution is None:
        return [*stages, Stage(state.label, "bad")]
    if state.name in {"rejected", "expired", "withdrawn", "cancelled"}:
        return [*stages, Stage(state.label, "bad", resolution.at)]
    stages.append(Stage(f"{verdict_word(resolution.verdict)} by {resolution.by}", "done"))
    stages.append(Stage("Accepted", "done", resolution.at))
    return stages + _after_acceptance(facts, state)


def verdict_word(verdict: Verdict) -> str:
    """Return a verdict as a participle, such as `Approved`."""
    return {
        Verdict.approve: "Approved",
        Verdict.reject: "Rejected",
        Verdict.answer: "Answered",
        Verdict.choose: "Chosen",
        Verdict.result: "Result given",
        Verdict.unknown: "Reported as unknown",
        Verdict.happened: "Recorded as happened",
        Verdict.run_again: "To be run again",
        Verdict.skip: "Skipped",
        Verdict.fail: "Failed",
        Verdict.withdraw: "Withdrawn",
    }[verdict]


def _after_acceptance(facts: Facts, state: State) -> list[Stage]:
    match state.name:
        case "undelivered":
            return [Stage("Delivered", "now"), Stage("Executing"), Stage("Done")]
        case "delivered":
            delivered = Stage("Delivered", "done", facts.delivered_at)
            return [delivered, Stage("Not started", "now"), Stage("Done")]
        case "executing":
            executing = Stage("Executing since", "now", state.since)
            return [Stage("Delivered", "done", facts.delivered_at), executing, Stage("Done")]
        case "done":
            return [Stage("Delivered", "done"), Stage("Done", "done", state.since)]
        case "recorded":
            return [Stage("Recorded", "done")]
        case _:
            return [Stage("Delivered", "done"), Stage(state.label, "bad", state.since)]


def _label(name: StateName, requirement: Requirement, waits_for: str) -> str:
    match name:
        case "waiting":
            return f"Waiting for {waits_for}"
        case "waiting_for_more" if waits_for == "you":
            return "Waiting for you"
        case "expired":
            return _EXPIRED[requirement.on_expiry]
        case "rejected":
            resolution = requirement.resolution
            return _refusal(requirement, None if resolution is None else resolution.verdict)
        case _:
            return _LABELS[name]


def _refusal(requirement: Requirement, verdict: Verdict | None) -> str:
    if verdict is Verdict.reject and requirement.kind is RequirementKind.user_input:
        return "Declined"
    match verdict:
        case Verdict.skip | Verdict.fail | Verdict.unknown:
            return verdict_word(verdict)
        case _:
            return "Rejected"


def _approvers(requirement: Requirement) -> list[str]:
    leading = max(requirement.proposals, key=lambda item: item.approvals, default=None)
    return [] if leading is None else leading.by
