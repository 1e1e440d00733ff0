"""Where a decision and its call stand, as rows say it: never as a pressed button would."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kern.requirements import Requirement
from kern.run import ToolExecution
from kern.values.states import OnExpiry, RequirementStatus, ToolCallStatus, ToolOutcome, Verdict

StateName = Literal[
    "waiting",
    "waiting_for_more",
    "undelivered",
    "delivered",
    "executing",
    "done",
    "error",
    "not_executed",
    "unknown",
    "recorded",
    "rejected",
    "expired",
    "withdrawn",
    "cancelled",
]
# After these, nothing is executed.
_REFUSALS = frozenset({Verdict.reject, Verdict.skip, Verdict.fail, Verdict.unknown})


class DecisionState(BaseModel):
    """Where a decision and its call stand.

    Attributes:
        state: `waiting` and `waiting_for_more` for people; then `undelivered` and `delivered` to
            the run, `executing`, and `done`, `error` or `unknown`; `not_executed`, where the code
            refused it; `recorded`, where nothing has to be executed; `rejected`, `expired`,
            `withdrawn`, `cancelled`.
        since: Since when, if a row says so.
        attempt: The number of the attempt that executes it, or did; 0 without one.
        result: What the tool returned or raised, or why nothing was executed.
        can_withdraw: Whether an approval can still be taken back.
    """

    model_config = ConfigDict(frozen=True)

    state: StateName
    since: datetime | None = None
    attempt: int = 0
    result: str | None = None
    can_withdraw: bool = False


def decision_state(
    requirement: Requirement, call: ToolExecution | None, delivered_at: datetime | None
) -> DecisionState:
    """Return where a requirement stands.

    Args:
        requirement: The requirement as its rows say.
        call: Its call; None if it has none, or it was not read.
        delivered_at: When its run was notified of the decision.
    """
    match requirement.status:
        case RequirementStatus.pending:
            more = requirement.approvals > 0
            return DecisionState(
                state="waiting_for_more" if more else "waiting",
                since=requirement.created_at,
                can_withdraw=more,
            )
        case RequirementStatus.cancelled:
            return DecisionState(state="cancelled")
        case RequirementStatus.expired:
            runs = requirement.on_expiry is OnExpiry.approve and call is not None
            expired = DecisionState(state="expired", since=_closed_at(requirement))
            return _executed(requirement, call, delivered_at) if runs else expired
        case RequirementStatus.resolved:
            return _resolved(requirement, call, delivered_at)


def _resolved(
    requirement: Requirement, call: ToolExecution | None, delivered_at: datetime | None
) -> DecisionState:
    resolution = requirement.resolution
    verdict = None if resolution is None else resolution.verdict
    if verdict is Verdict.withdraw:
        return DecisionState(state="withdrawn", since=_closed_at(requirement))
    if verdict in _REFUSALS:
        return DecisionState(state="rejected", since=_closed_at(requirement))
    return _executed(requirement, call, delivered_at)


def _executed(
    requirement: Requirement, call: ToolExecution | None, delivered_at: datetime | None
) -> DecisionState:
    if requirement.not_executed is not None:
        return DecisionState(state="not_executed", result=requirement.not_executed)
    if call is None:
        return DecisionState(state="undelivered" if delivered_at is None else "recorded")
    match call.status:
        case ToolCallStatus.waiting:
            state: StateName = "undelivered" if delivered_at is None else "delivered"
            return DecisionState(state=state, since=delivered_at, can_withdraw=True)
        case ToolCallStatus.running:
            return DecisionState(state="executing", since=call.started_at, attempt=call.attempts)
        case ToolCallStatus.unknown:
            return DecisionState(state="unknown", since=call.started_at, attempt=call.attempts)
        case ToolCallStatus.done:
            return _ended(call)


def _ended(call: ToolExecution) -> DecisionState:
    attempt, at = call.attempts, call.finished_at
    match call.outcome:
        case ToolOutcome.error:
            return DecisionState(state="error", since=at, attempt=attempt, result=call.result)
        case ToolOutcome.cancelled:
            return DecisionState(state="cancelled", since=at)
        case ToolOutcome.rejected:
            return DecisionState(state="rejected", since=at)
        case _:
            return DecisionState(state="done", since=at, attempt=attempt, result=call.result)


def _closed_at(requirement: Requirement) -> datetime | None:
    return None if requirement.resolution is None else requirement.resolution.at
