"""An attempt as other processes know it: who executes a call, and why its outcome is unknown."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeGuard

from pydantic import BaseModel, ConfigDict

# An attempt that executes renews its lease every few seconds. Its activity is taken for dead after
# one missed heartbeat, and its lease ends after three: a process that was frozen goes on with the
# call when it wakes up, so nothing is executed in its place before.
_MISSED_HEARTBEATS = 3
_MOST_BEAT_SECONDS = 5.0
DEFAULT_LEASE = timedelta(seconds=30)


def lease_of(heartbeat_seconds: float) -> timedelta:
    """Return for how long an attempt is trusted to be executing after its last beat."""
    return timedelta(seconds=_MISSED_HEARTBEATS * heartbeat_seconds)


def beat_seconds_of(lease: timedelta) -> float:
    """Return how often an attempt renews its lease, in seconds."""
    return min(_MOST_BEAT_SECONDS, lease.total_seconds() / (2 * _MISSED_HEARTBEATS))


class UnknownReason(StrEnum):
    """Why nobody knows whether a call happened.

    `timed_out`: it exceeded its timeout and could not be stopped. `worker_lost`: its worker stopped
    answering, because it died, froze or lost the network. `raised`: its code raised an exception
    that leaves it open. `reported`: it is executed outside Kern, and whoever does so reports that
    they do not know.
    """

    timed_out = "timed_out"
    worker_lost = "worker_lost"
    raised = "raised"
    reported = "reported"


class UnknownAttempt(BaseModel):
    """What is known of the attempt at a call whose outcome is unknown.

    Attributes:
        reason: Why nobody knows.
        worker: The process that executed it, as Temporal names it: `pid@host`.
        begun_at: When its code was called (UTC).
        beat_at: When it was last known to be executing (UTC).
        is_executing: Whether it is known to be executing at this moment.
        leased_until: Until when it may be executing, unknown to all, because its worker may be
            frozen and wake up (UTC); None once that is past.
        idempotency_key: The key that the tool was given, by which its effect can be looked up.
        error: What its code raised.
        reported_by: Who reports not to know what became of a call that is executed outside Kern.
        reported_at: When they reported it (UTC).
        report: Why they do not know.
        evidence: What the tool's reconciler answered, the latest last.
    """

    model_config = ConfigDict(frozen=True)

    reason: UnknownReason
    worker: str | None = None
    begun_at: datetime | None = None
    beat_at: datetime | None = None
    is_executing: bool = False
    leased_until: datetime | None = None
    idempotency_key: str = ""
    error: str | None = None
    reported_by: str | None = None
    reported_at: datetime | None = None
    report: str | None = None
    evidence: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is known, in one sentence."""
        where = f" in worker {self.worker}" if self.worker else ""
        since = f" since {self.begun_at:%Y-%m-%d %H:%M:%S} UTC" if self.begun_at else ""
        executing = f"still executing{where}{since}"
        start = f"begun{since.replace('since', 'at')}{where}"
        match self.reason:
            case UnknownReason.timed_out if self.is_executing:
                text = f"It timed out and is {executing}."
            case UnknownReason.timed_out:
                text = f"It timed out; it was {start}, and is no longer known to be executing."
            case UnknownReason.worker_lost if self.is_executing:
                text = f"Its worker was lost and is back: it is {executing}."
            case UnknownReason.worker_lost if self.leased_until is not None:
                until = f"until {self.leased_until:%H:%M:%S} UTC"
                text = f"Its worker was lost; it was {start}, and may still be executing {until}."
            case UnknownReason.worker_lost:
                text = f"Its worker was lost; it was {start}."
            case UnknownReason.raised:
                text = f"It raised {self.error or 'an exception'}; it was {start}."
            case _:
                at = f" at {self.reported_at:%Y-%m-%d %H:%M:%S} UTC" if self.reported_at else ""
                text = f"{self.reported_by} does not know, as reported{at}: {self.report}"
        return text


def is_executing(
    reason: UnknownReason,
    beat_at: datetime | None,
    leased_until: datetime | None,
    opened_at: datetime,
    now: datetime,
) -> bool:
    """Whether an attempt whose outcome is asked for is known to be executing.

    Of one that timed out it is known as the question is opened. Of one whose worker was lost, a
    beat from before the question says nothing.
    """
    if beat_at is None or not has_lease(leased_until, now):
        return False
    return beat_at > opened_at or (reason is UnknownReason.timed_out and beat_at == opened_at)


def may_be_executing(reason: UnknownReason, leased_until: datetime | None, now: datetime) -> bool:
    """Whether an attempt whose worker was lost may go on, as that worker may be frozen."""
    return reason is UnknownReason.worker_lost and has_lease(leased_until, now)


def has_lease(leased_until: datetime | None, now: datetime) -> TypeGuard[datetime]:
    """Whether the lease of an attempt is not over yet."""
    return leased_until is not None and now < leased_until
