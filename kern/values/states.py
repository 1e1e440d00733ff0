"""The closed sets of words that code, tables, API and CLI share."""

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands."""

    pending = "pending"
    running = "running"
    paused = "paused"
    completed = "completed"
    cancelled = "cancelled"
    error = "error"

    @property
    def is_final(self) -> bool:
        """Whether a run in this status never changes again."""
        return self in FINAL_RUN_STATUSES

    @property
    def is_idle(self) -> bool:
        """Whether a run in this status continues only if a person decides, if at all."""
        return self is RunStatus.paused or self.is_final


class OnBusy(StrEnum):
    """What becomes of a run that is requested while another run of the session is active."""

    queue = "queue"
    parallel = "parallel"
    reject = "reject"


FINAL_RUN_STATUSES = frozenset({RunStatus.completed, RunStatus.cancelled, RunStatus.error})


class RequirementKind(StrEnum):
    """What a person is asked for."""

    confirmation = "confirmation"
    user_input = "user_input"
    user_feedback = "user_feedback"
    external_execution = "external_execution"
    output_review = "output_review"
    error = "error"
    unknown_outcome = "unknown_outcome"


class RequirementStatus(StrEnum):
    """Where a requirement stands; everything but `pending` is final."""

    pending = "pending"
    resolved = "resolved"
    expired = "expired"
    cancelled = "cancelled"


class Risk(StrEnum):
    """How much harm a wrong decision does, as the author of the call sees it."""

    low = "low"
    normal = "normal"
    high = "high"


# The order in which the riskiest comes first.
RISK_RANKS = {Risk.high: 0, Risk.normal: 1, Risk.low: 2}


class PersonKind(StrEnum):
    """What an entry about who may decide stands for."""

    person = "person"
    group = "group"
    requester = "requester"
    anybody = "anybody"


class PersonRole(StrEnum):
    """What an entry says: that somebody may decide, may not, or may since an escalation.

    `delegated` names whom somebody handed the decision to, and `handed_over` who has done so: it
    does not wait for them any more, though they may decide.
    """

    candidate = "candidate"
    excluded = "excluded"
    escalated = "escalated"
    delegated = "delegated"
    handed_over = "handed_over"


class InboxOrder(StrEnum):
    """What comes first in a page of what waits: the oldest, the next deadline, the riskiest."""

    created = "created"
    due = "due"
    risk = "risk"


class Verdict(StrEnum):
    """What was decided about a requirement.

    `reject` fits every kind; `approve` fits a confirmation and the review of an output. `withdraw`
    takes back the person's own approval or other vote for something that has not begun. `answer`
    carries a person's values, `choose` their choices, `result` the result of a call that was
    executed elsewhere, and `unknown` reports that nobody knows whether it was. For an unknown
    outcome: `happened` carries the result, `run_again` repeats the call, `fail` ends the run. A
    step that failed is executed again (`run_again`), left out (`skip`), or fails (`fail`); a step
    whose output is reviewed can be failed (`fail`) too.
    """

    approve = "approve"
    reject = "reject"
    answer = "answer"
    choose = "choose"
    result = "result"
    unknown = "unknown"
    happened = "happened"
    run_again = "run_again"
    skip = "skip"
    fail = "fail"
    withdraw = "withdraw"


class PrincipalKind(StrEnum):
    """What acts: only a person resolves what asks for a person."""

    person = "person"
    service = "service"
    agent = "agent"
    system = "system"


class ToolCallStatus(StrEnum):
    """Where a tool call stands: `unknown` may or may not have happened, `done` is final."""

    waiting = "waiting"
    running = "running"
    unknown = "unknown"
    done = "done"


class ToolOutcome(StrEnum):
    """How a tool call that is done came out."""

    result = "result"
    error = "error"
    rejected = "rejected"
    cancelled = "cancelled"


class Effect(StrEnum):
    """What repeating a tool call would do.

    `once`: it may do harm, so a call with an unknown outcome is put before a person. `idempotent`:
    the receiver recognises the idempotency key. `read`: nothing outside changes.
    """

    once = "once"
    idempotent = "idempotent"
    read = "read"


class OnExpiry(StrEnum):
    """What silence until the deadline means."""

    reject = "reject"
    approve = "approve"
    fail = "fail"
