"""The routes of the inbox: what waits, for whom, in which order."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from kern.client.console import pages
from kern.client.console.addresses import INBOX, with_query
from kern.client.console.inbox import AwayForm, Checks, Entry, Select, Tab, capped, inbox_view
from kern.client.console.problems import Problem
from kern.client.desk.facts import facts_of
from kern.client.desk.visitors import Reader, Visitor
from kern.contracts.queries import RequirementFilters
from kern.contracts.reports import InboxCounts, RequirementPage
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.roles import Right
from kern.values.states import InboxOrder, PrincipalKind, RequirementKind, RequirementStatus, Risk

router = APIRouter()

ROWS = 25
Scope = Literal["me", "all", "claimed", "snoozed", "closed"]


class InboxQuery(BaseModel):
    """Which decisions are listed, and in which order. What is empty narrows nothing.

    Attributes:
        after: The last decision of the page before.
    """

    model_config = ConfigDict(extra="ignore")

    scope: Annotated[Literal["me", "all"], Field(alias="for")] = "me"
    claimed: Literal["me", ""] = ""
    snoozed: Literal["me", ""] = ""
    status: Literal["closed", ""] = ""
    sort: InboxOrder = InboxOrder.due
    kind: RequirementKind | Literal[""] = ""
    risk: Risk | Literal[""] = ""
    q: Annotated[str, Field(max_length=240)] = ""
    tool: Annotated[str, Field(max_length=240)] = ""
    component: Annotated[str, Field(max_length=240)] = ""
    after: Annotated[str, Field(max_length=1_000)] = ""

    @property
    def view(self) -> Scope:
        """Which of the views of the inbox is asked for."""
        if self.status:
            return "closed"
        if self.claimed:
            return "claimed"
        return "snoozed" if self.snoozed else self.scope

    @property
    def is_narrowed(self) -> bool:
        """Whether less is listed than the view has."""
        return bool(self.kind or self.risk or self.q.strip() or self.tool or self.component)

    def url(self, **changes: str) -> str:
        """Return the address of this list with something else."""
        values = self.model_dump(mode="json", by_alias=True) | changes
        defaults = InboxQuery().model_dump(mode="json", by_alias=True)
        query = {name: value for name, value in values.items() if value != defaults[name]}
        return with_query(INBOX, **query)


@router.get("/")
async def desk() -> Response:
    """Lead to the inbox."""
    return RedirectResponse(INBOX, 303)


@router.get("/inbox")
async def inbox_page(visitor: Reader, query: Annotated[InboxQuery, Query()]) -> Response:
    """Show what waits."""
    return await page_of(visitor, query)


async def page_of(
    visitor: Visitor,
    query: InboxQuery,
    refusal: Problem | None = None,
    form: AwayForm | None = None,
) -> Response:
    """Return the inbox, with why something was refused that was posted from it, and that."""
    service, viewer, principal = visitor.service, visitor.viewer, visitor.principal
    page = await _page(visitor, query)
    counts = await service.inbox.counts(viewer, principal)
    if visitor.role_hindrance is not None:
        counts = counts.model_copy(update={"for_me": 0})
    ids = [item.id for item in page.requirements]
    # What waits for somebody is theirs to decide.
    reasons = {} if query.view == "me" else await service.inbox.hindrances(viewer, ids)
    quotes = await service.inbox.agent_words(viewer, ids)
    entries = [
        entry_of(item, visitor.role_hindrance or reasons.get(item.id), quote=quotes.get(item.id))
        for item in page.requirements
    ]
    view = inbox_view(
        entries,
        visitor.now,
        Checks(
            open=counts.all,
            at=visitor.now,
            names=(principal.name, *principal.groups),
            snoozed=counts.snoozed,
        ),
        scope=query.view,
        count=None if query.is_narrowed else _count(query.view, counts),
        tabs=_tabs(query, counts),
        selects=_selects(query),
        query=query.q,
        next_url=None if page.next_cursor is None else query.url(after=page.next_cursor),
        problem=refusal,
        away=await _away(visitor, form or AwayForm()),
    )
    frame = await visitor.frame(inbox_count=counts.for_me)
    status = 200 if refusal is None else refusal.status
    return HTMLResponse(pages.inbox_page(frame, view), status)


async def _away(visitor: Visitor, form: AwayForm) -> AwayForm | None:
    """Return the form in which a visitor says that they are away; None where they cannot."""
    is_person = visitor.principal.kind is PrincipalKind.person
    if not is_person or not visitor.may(Right.operate):
        return None
    return replace(form, absence=await visitor.service.absences.own(visitor.viewer))


async def _page(visitor: Visitor, query: InboxQuery) -> RequirementPage:
    inbox, viewer, principal = visitor.service.inbox, visitor.viewer, visitor.principal
    if query.view == "me" and visitor.role_hindrance is not None:
        # Nothing waits for whoever may only look.
        return RequirementPage(requirements=[])
    narrowing: RequirementFilters = {
        "kind": query.kind or None,
        "risk": query.risk or None,
        "tool": query.tool or None,
        "component": query.component or None,
    }
    search = query.q.strip() or None
    if query.view == "closed":
        return await inbox.closed(
            viewer, limit=ROWS, cursor=query.after or None, search=search, **narrowing
        )
    return await inbox.pending(
        viewer,
        limit=ROWS,
        cursor=query.after or None,
        for_principal=principal if query.view == "me" else None,
        claimed_by=principal if query.view == "claimed" else None,
        snoozed_by=principal if query.view == "snoozed" else None,
        search=search,
        sort=query.sort,
        **narrowing,
    )


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


def _count(view: Scope, counts: InboxCounts) -> int | None:
    numbers = {
        "me": counts.for_me,
        "all": counts.all,
        "claimed": counts.claimed,
        "snoozed": counts.snoozed,
    }
    return numbers.get(view)


def _tabs(query: InboxQuery, counts: InboxCounts) -> list[Tab]:
    tabs: dict[Scope, tuple[str, dict[str, str]]] = {
        "me": ("For me", {}),
        "all": ("All", {"for": "all"}),
        "claimed": ("Claimed", {"claimed": "me"}),
        "snoozed": ("Snoozed", {"snoozed": "me"}),
        "closed": ("Decided", {"status": "closed"}),
    }
    plain = {"for": "me", "claimed": "", "snoozed": "", "status": "", "after": ""}
    views: list[Tab] = []
    for view, (label, parameters) in tabs.items():
        count = _count(view, counts)
        url = query.url(**(plain | parameters))
        views.append(Tab(label, url, None if count is None else capped(count), query.view == view))
    return views


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
