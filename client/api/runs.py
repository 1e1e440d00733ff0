"""The routes of runs: list, read, cancel, retry."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from pydantic import AwareDatetime, BaseModel, ConfigDict

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import MOST_NUMBER, Id, Page, PageQuery
from kern.client.api.parameters import Note, Search
from kern.client.api.run_resources import AcceptedChange, RunDetails, RunResource
from kern.client.web.callers import Operator, Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.contracts.reports import LONGEST_PAGE
from kern.run import StepExecution
from kern.values.states import RunStatus

RunId = Annotated[
    str, Path(min_length=1, max_length=240, description="The run's id, or the end of it.")
]
router = APIRouter(prefix="/runs", tags=["runs"], route_class=ConditionalRoute, responses=PROBLEMS)


class RunFilters(PageQuery):
    """Which runs are listed.

    Attributes:
        q: Only those with this text in the input, the user, the component or the id, among the
            latest 10,000.
        created_after: Only those that were accepted after this moment.
    """

    status: RunStatus | None = None
    component: Id | None = None
    user: Id | None = None
    session: Id | None = None
    q: Search | None = None
    created_after: AwareDatetime | None = None


class ChangeBody(BaseModel):
    """Why a run is changed; people read it on the run."""

    model_config = ConfigDict(extra="forbid")

    note: Note | None = None


@router.get("")
async def list_runs(
    service: ServiceOf,
    caller: Reader,
    filters: Annotated[RunFilters, Query()],
) -> Page[RunResource]:
    """List runs, the latest first, without those inside others."""
    page = await service.runs.page(
        caller.viewer,
        limit=filters.limit,
        cursor=filters.after,
        status=filters.status,
        user_id=filters.user,
        component_id=filters.component,
        session_id=filters.session,
        created_after=filters.created_after,
        search=filters.q,
    )
    return Page(items=[RunResource.of(item) for item in page.runs], next=page.next_cursor)


@router.get("/{run_id}")
async def read_run(service: ServiceOf, caller: Reader, run_id: RunId) -> RunDetails:
    """Read a run with its answer, its calls, and what it waits for."""
    full = await service.runs.full_id(caller.viewer, run_id)
    return RunDetails.of_report(await service.runs.report(caller.viewer, full))


@router.get("/{run_id}/steps")
async def list_steps(
    service: ServiceOf,
    caller: Reader,
    run_id: RunId,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 100,
    after: Annotated[int, Query(ge=0, le=MOST_NUMBER, description="`next` of a page.")] = 0,
) -> Page[StepExecution]:
    """List the steps that a workflow's run has opened, in their order."""
    full = await service.runs.full_id(caller.viewer, run_id)
    steps = await service.runs.steps(caller.viewer, full, limit, after)
    return Page(items=steps, next=str(after + limit) if len(steps) == limit else None)


@router.post("/{run_id}/cancellation", status_code=status.HTTP_202_ACCEPTED)
async def cancel_run(
    service: ServiceOf, caller: Operator, run_id: RunId, body: ChangeBody | None = None
) -> AcceptedChange:
    """Cancel a run: nothing new begins in it. One that is cancelled already is cancelled."""
    full = await service.runs.full_id(caller.viewer, run_id)
    accepted = await service.runs.cancel(caller.viewer, full, note=(body or ChangeBody()).note)
    return AcceptedChange.of(accepted)


@router.post("/{run_id}/retry", status_code=status.HTTP_202_ACCEPTED)
async def retry_run(
    service: ServiceOf, caller: Operator, run_id: RunId, body: ChangeBody | None = None
) -> AcceptedChange:
    """Have a run that failed continue where it failed."""
    full = await service.runs.full_id(caller.viewer, run_id)
    accepted = await service.runs.retry(caller.viewer, full, note=(body or ChangeBody()).note)
    return AcceptedChange.of(accepted)
