"""What should be progressing and is not: the report that the CLI, the API and the console show."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class StuckReason(StrEnum):
    """Why something does not progress.

    `provider_away` and `queued` are waits that end by themselves: nothing is stuck.
    """

    no_worker = "no_worker"
    not_started = "not_started"
    not_executed = "not_executed"
    not_delivered = "not_delivered"
    unknown_outcome = "unknown_outcome"
    deadline_passed = "deadline_passed"
    provider_away = "provider_away"
    queued = "queued"

    @property
    def continues(self) -> bool:
        """Whether it continues by itself."""
        return self in {StuckReason.provider_away, StuckReason.queued}


class StuckItem(BaseModel):
    """Something that does not progress.

    Attributes:
        run_id: The run; none where several runs of one component wait for a worker.
        requirement_id: What people were asked, if it is about that.
        tool: The tool of the call, or what no worker has.
        since: Since when.
        why: What is known, in a sentence.
        count: How many things are alike, this among them.
    """

    model_config = ConfigDict(frozen=True)

    reason: StuckReason
    run_id: str | None = None
    requirement_id: str | None = None
    component_id: str | None = None
    tool: str | None = None
    since: datetime
    why: str
    count: int = 1


class WorkerStatus(BaseModel):
    """A process that executes runs.

    Attributes:
        version: That of its Kern.
        components: What it executes.
        seen_at: When it reported last.
        is_present: Whether that is so recent that it counts as running.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    components: list[str]
    started_at: datetime
    seen_at: datetime
    is_present: bool


class StuckReport(BaseModel):
    """What is stuck, and what was checked to know that.

    Attributes:
        checked_at: When it was checked.
        checked: How many runs had not ended then, up to 1,001.
        items: The longest first within each reason, up to 100 of each.
        is_complete: Whether no reason has more than that.
    """

    model_config = ConfigDict(frozen=True)

    checked_at: datetime
    checked: int
    items: list[StuckItem]
    is_complete: bool
    workers: list[WorkerStatus]

    @property
    def count(self) -> int:
        """How many things are stuck; what continues by itself is none of them."""
        return sum(not item.reason.continues for item in self.items)
