"""The route of the log of decisions: who decided what, the latest first."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Id, Page
from kern.client.api.resources import DecisionResource
from kern.client.web.callers import Auditor, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.values.states import Verdict

router = APIRouter(
    prefix="/decisions", tags=["audit"], route_class=ConditionalRoute, responses=PROBLEMS
)


class DecisionQuery(BaseModel):
    """Which decisions are listed.

    Attributes:
        by: The subject of whoever decided.
        since: This moment and later, as `from`.
        until: Before this moment, as `to`.
        before: `next` of the page before.
    """

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 25
    before: Id | None = None
    by: Id | None = None
    tool: Id | None = None
    verdict: Verdict | None = None
    since: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: Annotated[AwareDatetime | None, Field(alias="to")] = None


@router.get("")
async def list_log(
    service: ServiceOf, caller: Auditor, query: Annotated[DecisionQuery, Query()]
) -> Page[DecisionResource]:
    """List the decisions of the caller's tenant, the latest first."""
    page = await service.audit.decisions(
        caller.viewer,
        limit=query.limit,
        cursor=query.before,
        by=query.by,
        tool=query.tool,
        verdict=query.verdict,
        since=query.since,
        until=query.until,
    )
    items = [DecisionResource.of(item) for item in page.decisions]
    return Page(items=items, next=page.next_cursor)
