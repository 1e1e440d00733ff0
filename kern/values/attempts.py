"""An attempt as other processes know it: who executes a call, and why its outcome is unknown."""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# An attempt that executes says so every few seconds; one that has not for so long is not known to.
BEAT_SECONDS = 5.0
LEASE = timedelta(seconds=30)


class UnknownReason(StrEnum):
    """Why nobody knows whether a call happened.

    `timed_out`: it exceeded its timeout and could not be stopped. `worker_lost`: its worker stopped
    answering, because it died, froze or lost the network. `raised`: its code raised an exception
    that leaves it open.
    """

    timed_out = "timed_out"
    worker_lost = "worker_lost"
    raised = "raised"


class UnknownAttempt(BaseModel):
    """What is known of the attempt at a call whose outcome is unknown.

    Attributes:
        reason: Why nobody knows.
        worker: The process that executed it, as Temporal names it: `pid@host`.
        begun_at: When its code was called (UTC).
        beat_at: When it was last known to be executing (UTC).
        is_executing: Whether it is known to be executing at this moment.
        idempotency_key: The key that the tool was given, by which its effect can be looked up.
        error: What its code raised.
        evidence: What the tool's reconciler answered, the latest last.
    """

    model_config = ConfigDict(frozen=True)

    reason: UnknownReason
    worker: str | None = None
    begun_at: datetime | None = None
    beat_at: datetime | None = None
    is_executing: bool = False
    idempotency_key: str = ""
    error: str | None = None
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
                return f"It timed out and is {executing}."
            case UnknownReason.timed_out:
                return f"It timed out; it was {start}, and is no longer known to be executing."
            case UnknownReason.worker_lost if self.is_executing:
                return f"Its worker was lost and is back: it is {executing}."
            case UnknownReason.worker_lost:
                return f"Its worker was lost; it was {start}."
            case UnknownReason.raised:
                return f"It raised {self.error or 'an exception'}; it was {start}."


def is_executing(
    reason: UnknownReason, beat_at: datetime | None, opened_at: datetime, now: datetime
) -> bool:
    """Whether an attempt whose outcome is asked for is known to be executing.

    Of one that timed out it is known as the question is opened. Of one whose worker was lost, a
    beat from before the question says nothing.
    """
    if beat_at is None or now - beat_at >= LEASE:
        return False
    return beat_at > opened_at or (reason is UnknownReason.timed_out and beat_at == opened_at)
