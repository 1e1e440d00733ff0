"""How long a run and its calls worked, and how long they waited for people."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from kern.requirements import Requirement
from kern.run import RunOutput, ToolExecution

Span = tuple[datetime, datetime]


def execution(call: ToolExecution, requirements: Iterable[Requirement]) -> timedelta | None:
    """Return how long a call was executed, without what it waited; None if it never was."""
    if call.started_at is None or call.finished_at is None:
        return None
    return call.finished_at - call.started_at - waiting(call, requirements)


def waiting(call: ToolExecution, requirements: Iterable[Requirement]) -> timedelta:
    """Return how long people were asked about a call after it had begun."""
    if call.started_at is None or call.finished_at is None:
        return timedelta(0)
    of_call = (item for item in requirements if item.tool_call_id == call.id)
    return _covered(of_call, (call.started_at, call.finished_at))


def asking(run: RunOutput) -> timedelta:
    """Return for how long of an ended run a person was asked, whatever else went on."""
    if run.finished_at is None:
        return timedelta(0)
    return _covered(run.requirements, (run.created_at, run.finished_at))


def _covered(requirements: Iterable[Requirement], within: Span) -> timedelta:
    """Return how much of a span the requirements cover, which may lie one over another."""
    begin, end = within
    spans = (
        (max(item.created_at, begin), min(item.resolution.at if item.resolution else end, end))
        for item in requirements
    )
    total, reached = timedelta(0), begin
    for start, stop in sorted(spans):
        total += max(stop - max(start, reached), timedelta(0))
        reached = max(reached, stop)
    return total
