"""The routes of runs: the list, one run's story, cancel and retry."""

from collections.abc import Awaitable
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from kern.client.console import pages
from kern.client.console.addresses import RUNS, run_url, with_query
from kern.client.console.form_fields import Posted
from kern.client.console.inbox import Tab
from kern.client.console.problems import Problem, problem_of
from kern.client.console.run import run_view
from kern.client.console.runs import runs_view
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.visitors import Operator, Reader, Visitor
from kern.contracts.reports import Acceptance
from kern.contracts.viewer import Viewer
from kern.errors import KernError
from kern.values.states import RunStatus

router = APIRouter(prefix="/runs")

RunId = Annotated[str, Path(min_length=1, max_length=240)]
_ROWS = 25
_TABS: dict[str, str] = {
    "": "All",
    RunStatus.paused: "Paused",
    RunStatus.running: "Running",
    RunStatus.error: "Failed",
    RunStatus.completed: "Completed",
}


@router.get("")
async def runs_page(
    visitor: Reader,
    status: RunStatus | Literal[""] = "",
    q: Annotated[str, Query(max_length=240)] = "",
    after: Annotated[str, Query(max_length=240)] = "",
) -> Response:
    """Show what every run does or waits for."""
    page = await visitor.service.runs.page(
        visitor.viewer, limit=_ROWS, cursor=after or None, status=status or None, search=q or None
    )
    waiting = await visitor.service.inbox.open_in(visitor.viewer, [run.run_id for run in page.runs])
    tabs = [
        Tab(label, with_query(RUNS, status=value), is_current=value == status)
        for value, label in _TABS.items()
    ]
    more = page.next_cursor
    view = runs_view(
        [run.model_copy(update={"requirements": waiting.get(run.run_id, [])}) for run in page.runs],
        tabs=tabs,
        query=q,
        status=status,
        next_url=None if more is None else with_query(RUNS, status=status, q=q, after=more),
    )
    return HTMLResponse(pages.runs_page(await visitor.frame(), view))


@router.get("/{run_id}")
async def run_page(
    visitor: Reader, run_id: RunId, after: Annotated[int, Query(ge=0, le=1_000_000)] = 0
) -> Response:
    """Show a run: what has happened in it."""
    return await _page(visitor, run_id, after)


@router.post("/{run_id}/cancel")
async def cancel(visitor: Operator, run_id: RunId, posted: PostedForm) -> Response:
    """Cancel a run."""
    return await _change(visitor, run_id, visitor.service.runs.cancel, posted)


@router.post("/{run_id}/retry")
async def retry(visitor: Operator, run_id: RunId, posted: PostedForm) -> Response:
    """Continue a failed run."""
    return await _change(visitor, run_id, visitor.service.runs.retry, posted)


class _Change(Protocol):
    def __call__(
        self, viewer: Viewer, run_id: str, *, note: str | None
    ) -> Awaitable[Acceptance]: ...


async def _change(visitor: Visitor, run_id: str, change: _Change, posted: Posted) -> Response:
    note = text_in(posted, "note").strip() or None
    try:
        await change(visitor.viewer, run_id, note=note)
    except KernError as error:
        return await _page(visitor, run_id, 0, problem_of(error))
    return RedirectResponse(run_url(run_id), 303)


async def _page(
    visitor: Visitor, run_id: str, after: int, refusal: Problem | None = None
) -> Response:
    full = await visitor.service.runs.full_id(visitor.viewer, run_id)
    report = await visitor.service.runs.report(visitor.viewer, full)
    view = run_view(report, after=after, problem=refusal)
    page = pages.run_page(await visitor.frame(), view)
    return HTMLResponse(page, 200 if refusal is None else refusal.status)
