"""The routes of absences: who is away, and the caller's own."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Page, PageQuery
from kern.client.api.people_resources import AbsenceResource, EndedAbsence
from kern.client.api.refusals import require_person
from kern.client.web.callers import Operator, Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.values.decisions import LONGEST_NOTE

router = APIRouter(tags=["people"], route_class=ConditionalRoute, responses=PROBLEMS)


class AbsenceBody(BaseModel):
    """Until when the caller is away, within 366 days.

    Attributes:
        since: From when on; default: now, or as they said before if that has begun.
        note: Something that people who look read; models do not.
    """

    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime
    since: AwareDatetime | None = None
    note: Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_NOTE)] | None = None


@router.get("/absences")
async def list_absences(
    service: ServiceOf, caller: Reader, query: Annotated[PageQuery, Query()]
) -> Page[AbsenceResource]:
    """List who is away now in the caller's tenant, whoever is back first to begin with."""
    page = await service.absences.page(caller.viewer, limit=query.limit, cursor=query.after)
    items = [AbsenceResource.of(absence) for absence in page.absences]
    return Page(items=items, next=page.next_cursor)


@router.put("/me/absence")
async def begin_absence(service: ServiceOf, caller: Operator, body: AbsenceBody) -> AbsenceResource:
    """Say that the caller is away. It replaces what they said before, and decides nothing."""
    require_person(caller)
    kept = await service.absences.begin(caller.viewer, body.until, since=body.since, note=body.note)
    return AbsenceResource.of(kept)


@router.delete("/me/absence")
async def end_absence(service: ServiceOf, caller: Operator) -> EndedAbsence:
    """Say that the caller is back; if they were not away, nothing is changed."""
    require_person(caller)
    return EndedAbsence(ended=await service.absences.end(caller.viewer))
