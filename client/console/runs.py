"""The list of runs: what each does or waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kern.client.console.addresses import run_url
from kern.client.console.inbox import Tab
from kern.client.console.states import Style
from kern.run import RunOutput
from kern.values.states import RequirementKind, RunStatus

_STATUS: dict[RunStatus, tuple[str, Style]] = {
    RunStatus.pending: ("Waiting for a worker", ""),
    RunStatus.running: ("Running", "live-now"),
    RunStatus.paused: ("Paused", "wait"),
    RunStatus.completed: ("Completed", "good"),
    RunStatus.cancelled: ("Cancelled", ""),
    RunStatus.error: ("Failed", "bad"),
}
_NEEDS = {
    RequirementKind.confirmation: "needs approval",
    RequirementKind.user_input: "needs values",
    RequirementKind.user_feedback: "needs a choice",
    RequirementKind.external_execution: "needs its result",
    RequirementKind.output_review: "has an output to review",
    RequirementKind.error: "has failed, and needs a decision",
    RequirementKind.unknown_outcome: "may have happened",
}
_LONGEST_TITLE = 100


@dataclass(frozen=True)
class RunRow:
    """A run in a list.

    Attributes:
        waits: What it waits for, or how it ended, in words.
    """

    url: str
    title: str
    component: str
    status: str
    style: Style
    waits: str
    user: str
    created_at: datetime
    tokens: int


@dataclass(frozen=True)
class RunsView:
    """What the page of runs shows."""

    rows: list[RunRow]
    tabs: list[Tab]
    query: str = ""
    status: str = ""
    next_url: str | None = None


def runs_view(
    runs: Sequence[RunOutput],
    *,
    tabs: Sequence[Tab] = (),
    query: str = "",
    status: str = "",
    next_url: str | None = None,
) -> RunsView:
    """Return what the page of runs shows."""
    return RunsView([run_row(run) for run in runs], list(tabs), query, status, next_url)


def run_row(run: RunOutput) -> RunRow:
    """Return a run as a row of a list."""
    status, style = status_of(run)
    return RunRow(
        url=run_url(run.run_id),
        title=run_title(run),
        component=run.component_id,
        status=status,
        style=style,
        waits=waits_of(run),
        user=run.user_id or "",
        created_at=run.created_at,
        tokens=run.metrics.total_tokens,
    )


def run_title(run: RunOutput) -> str:
    """Return the first line of a run's input, or what it is a run of."""
    line = next((line.strip() for line in run.input.splitlines() if line.strip()), "")
    if not line:
        return f"A run of {run.component_id}"
    return line if len(line) <= _LONGEST_TITLE else f"{line[:_LONGEST_TITLE]}..."


def status_of(run: RunOutput) -> tuple[str, Style]:
    """Return a run's status in words, and the class of its tag."""
    if run.is_queued:
        return "Queued", ""
    if run.provider_outage is not None and not run.status.is_final:
        return "Waiting for the model", ""
    return _STATUS[run.status]


def waits_of(run: RunOutput) -> str:
    """Return what a run waits for, how far it has come, or how it ended."""
    if run.error is not None:
        return f"{run.error.code}: {run.error.message}"
    if run.is_queued:
        return "behind another run of its session"
    if run.provider_outage is not None and not run.status.is_final:
        outage = run.provider_outage
        return f"{outage.code}, asked {outage.attempts} times"
    steps = ""
    if run.progress is not None and run.progress.known:
        steps = f"{run.progress.done:,} of {run.progress.known:,} steps"
    waits = ", ".join(
        f"{item.tool_name or 'a step'} {_NEEDS[item.kind]}" for item in run.active_requirements[:3]
    )
    more = len(run.active_requirements) - 3
    rest = f" and {more} more" if more > 0 else ""
    return ". ".join(part for part in (steps, f"{waits}{rest}") if part)
