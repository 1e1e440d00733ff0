"""The page of one run: what it does or waits for, what has happened in it, and who decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from kern.client.console.addresses import requirement_url, run_url, with_query
from kern.client.console.problems import Problem
from kern.client.console.run_story import Scene, story_of
from kern.client.console.runs import run_title, status_of, waits_of
from kern.client.console.states import Style
from kern.contracts.reports import Decision, RunReport
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.states import RunStatus, Verdict

# So much of a story stands on a page; the rest is a link away.
PAGE_LENGTH = 25
# How often an open page looks again, in seconds: while something runs, and while people are asked.
_ACTIVE_SECONDS, _PAUSED_SECONDS = 2, 15
_YES = frozenset(
    {Verdict.approve, Verdict.answer, Verdict.choose, Verdict.result, Verdict.happened}
)


@dataclass(frozen=True)
class DecidedRow:
    """A decision in the list beside a story."""

    by: str
    about: str
    url: str
    mark: str


@dataclass(frozen=True)
class RunView:
    """What the page of a run shows.

    Attributes:
        notices: What delays it: a worker that is missing, a run ahead of it.
        here_url: The address of this page of it.
        live_seconds: How often the page looks again; 0 once nothing changes any more.
        scenes: The part of the story that stands on this page.
        more_url: Where the rest is; None at its end.
    """

    run: RunOutput
    url: str
    here_url: str
    live_seconds: int
    title: str
    status: str
    style: Style
    waits: str
    notices: list[str]
    content: str | None
    working: timedelta
    waiting: timedelta
    scenes: list[Scene]
    more_url: str | None
    decisions: list[DecidedRow]
    open: list[Requirement]
    report: RunReport
    undelivered: int
    policy: str | None
    policy_changes: list[str]
    problem: Problem | None = None
    open_url: str | None = None


def run_view(report: RunReport, *, after: int = 0, problem: Problem | None = None) -> RunView:
    """Return what the page of a run shows, from the turn or step `after` on."""
    run = report.run
    story = story_of(report)
    status, style = status_of(run)
    rest = len(story) > after + PAGE_LENGTH
    active = run.active_requirements
    requirements = {item.id: item for item in run.requirements}
    return RunView(
        run=run,
        url=run_url(run.run_id),
        here_url=f"{run_url(run.run_id)}?after={after}" if after else run_url(run.run_id),
        live_seconds=_live_seconds(run.status),
        title=run_title(run),
        status=status,
        style=style,
        waits=waits_of(run),
        notices=_notices(report),
        content=_content(run),
        working=timedelta(seconds=run.metrics.working_seconds),
        waiting=timedelta(seconds=run.metrics.waiting_seconds),
        scenes=story[after : after + PAGE_LENGTH],
        more_url=with_query(run_url(run.run_id), after=str(after + PAGE_LENGTH)) if rest else None,
        decisions=[_row(item, requirements) for item in report.decisions],
        open=active,
        report=report,
        undelivered=report.undelivered,
        policy=None if report.policy is None else report.policy.digest[:12],
        policy_changes=[] if report.policy is None else report.policy.changes,
        problem=problem,
        open_url=requirement_url(active[0].id) if active else None,
    )


def _live_seconds(status: RunStatus) -> int:
    if status.is_final:
        return 0
    return _PAUSED_SECONDS if status is RunStatus.paused else _ACTIVE_SECONDS


def _row(decision: Decision, requirements: Mapping[str, Requirement]) -> DecidedRow:
    about = requirements.get(decision.requirement_id)
    name = "" if about is None else about.tool_name or about.kind.value
    mark = "yes" if decision.verdict in _YES else "not"
    text = f"{name}, {decision.verdict.value}" if name else decision.verdict.value
    return DecidedRow(decision.by, text, requirement_url(decision.requirement_id), mark)


def _notices(report: RunReport) -> list[str]:
    missing = [
        f"No running worker has {item.missing}: everything accepted is kept until one does."
        for item in report.awaited_workers
    ]
    behind = (
        [f"It waits behind run {report.waits_behind} of its session."]
        if report.waits_behind is not None
        else []
    )
    return [*missing, *behind]


def _content(run: RunOutput) -> str | None:
    if isinstance(run.content, BaseModel):
        return run.content.model_dump_json(indent=2)
    return run.content
