"""The routes of the inbox: what waits, for whom, in which order."""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from kern.client.console import pages
from kern.client.console.inbox import Checks, Entry, Select, Tab, capped, inbox_view
from kern.client.console.problems import Problem
from kern.client.desk.facts import facts_of
from kern.client.desk.visitors import Reader
from kern.contracts.reports import InboxCounts
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.states import InboxOrder, RequirementKind, RequirementStatus, Risk

router = APIRouter()

ROWS = 25
Scope = Literal["me", "all"]


class InboxQuery(BaseModel):
    """Which decisions are listed, and in which order. What is empty narrows nothing.

    Attributes:
        after: The last decision of the page before.
    """

    model_config = ConfigDict(extra="ignore")

    scope: Annotated[Scope, Field(alias="for")] = "me"
    sort: InboxOrder = InboxOrder.due
    kind: RequirementKind | Literal[""] = ""
    risk: Risk | Literal[""] = ""
    tool: Annotated[str, Field(max_length=240)] = ""
    component: Annotated[str, Field(max_length=240)] = ""
    after: Annotated[str, Field(max_length=240)] = ""

    def url(self, **changes: str) -> str:
        """Return the address of this list with something else."""
        values = self.model_dump(mode="json", by_alias=True) | changes
        defaults = InboxQuery().model_dump(mode="json", by_alias=True)
        query = {name: value for name, value in values.items() if value != defaults[name]}
        return f"/desk/inbox?{urlencode(query)}" if query else "/desk/inbox"


@router.get("/")
async def desk() -> Response:
    """Lead to the inbox."""
    return RedirectResponse("/desk/inbox", 303)


@router.get("/inbox")
async def inbox_page(visitor: Reader, query: Annotated[InboxQuery, Query()]) -> Response:
    """Show what waits."""
    service, viewer = visitor.service, visitor.viewer
    page = await service.inbox.pending(
        viewer,
        limit=ROWS,
        cursor=query.after or None,
        for_principal=visitor.principal if query.scope == "me" else None,
        kind=query.kind or None,
        tool=query.tool or None,
        component=query.component or None,
        risk=query.risk or None,
        sort=query.sort,
    )
    counts = await service.inbox.counts(viewer, visitor.principal)
    ids = [item.id for item in page.requirements]
    reasons = await service.inbox.hindrances(viewer, ids)
    quotes = await service.inbox.agent_words(viewer, ids)
    entries = [
        entry_of(item, reasons.get(item.id), quote=quotes.get(item.id))
        for item in page.requirements
    ]
    principal = visitor.principal
    view = inbox_view(
        entries,
        visitor.now,
        Checks(open=counts.all, at=visitor.now, names=(principal.name, *principal.groups)),
        scope=query.scope,
        count=None if _narrowed(query) else _count(query.scope, counts),
        tabs=_tabs(query, counts),
        selects=_selects(query),
        next_url=None if page.next_cursor is None else query.url(after=page.next_cursor),
    )
    frame = await visitor.frame(inbox_count=counts.for_me)
    return HTMLResponse(pages.inbox_page(frame, view))


def entry_of(
    requirement: Requirement,
    hindrance: str | None,
    *,
    quote: str | None = None,
    problem: Problem | None = None,
) -> Entry:
    """Return a requirement as a row of the inbox."""
    return Entry(
        requirement,
        facts_of(requirement),
        quote=quote,
        may_decide=hindrance is None and requirement.status is RequirementStatus.pending,
        decision_id=new_id(),
        problem=problem,
    )


def _count(scope: Scope, counts: InboxCounts) -> int:
    return counts.for_me if scope == "me" else counts.all


def _narrowed(query: InboxQuery) -> bool:
    return bool(query.kind or query.risk or query.tool or query.component)


def _tabs(query: InboxQuery, counts: InboxCounts) -> list[Tab]:
    labels: Mapping[Scope, str] = {"me": "For me", "all": "All"}
    return [
        Tab(
            label,
            query.url(**{"for": scope, "after": ""}),
            capped(_count(scope, counts)),
            query.scope == scope,
        )
        for scope, label in labels.items()
    ]


def _selects(query: InboxQuery) -> list[Select]:
    kinds = [("", "Any kind")] + [
        (kind.value, kind.value.replace("_", " ").capitalize()) for kind in RequirementKind
    ]
    risks = [("", "Any risk")] + [(risk.value, f"{risk.value} risk".capitalize()) for risk in Risk]
    orders = [("due", "Due first"), ("risk", "Riskiest first"), ("created", "Oldest first")]
    return [
        Select("kind", "Kind", kinds, query.kind),
        Select("risk", "Risk", risks, query.risk),
        Select("sort", "Order", orders, query.sort.value),
    ]
