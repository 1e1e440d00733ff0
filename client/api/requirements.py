"""The routes of what waits for people: list, read, decide."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Response, status
from pydantic import AwareDatetime, Field

from kern.client.api.decisions import DeciderOf, DecisionBody
from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Id, Page, PageQuery
from kern.client.api.resources import AcceptedDecision, DecisionResource, RequirementResource
from kern.client.web.callers import Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.contracts.reports import InboxCounts
from kern.errors import NotFound
from kern.values.states import InboxOrder, RequirementKind, Risk

RequirementId = Annotated[
    str, Path(min_length=1, max_length=240, description="The requirement's id, or the end of it.")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=64,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key again decides nothing more, and gives the first answer.",
    ),
]


class Filters(PageQuery):
    """Which requirements are listed, and in which order.

    Attributes:
        scope: `me` for those that wait for the caller: as a candidate, by name or group, or because
            anybody may decide.
        due_before: Only those with a deadline before this moment.
        sort: The oldest first, the next deadline first, or the riskiest first.
    """

    scope: Annotated[Literal["me", "all"], Field(alias="for")] = "all"
    kind: RequirementKind | None = None
    tool: Id | None = None
    component: Id | None = None
    risk: Risk | None = None
    shape: Id | None = None
    user: Id | None = None
    run: Id | None = None
    session: Id | None = None
    due_before: AwareDatetime | None = None
    sort: InboxOrder = InboxOrder.created


router = APIRouter(
    prefix="/requirements",
    tags=["requirements"],
    route_class=ConditionalRoute,
    responses=PROBLEMS,
)


@router.get("")
async def list_requirements(
    service: ServiceOf,
    caller: Reader,
    filters: Annotated[Filters, Query()],
) -> Page[RequirementResource]:
    """List what waits for people, the oldest first or as `sort` says."""
    page = await service.inbox.pending(
        caller.viewer,
        limit=filters.limit,
        cursor=filters.after,
        user_id=filters.user,
        run_id=filters.run,
        session_id=filters.session,
        kind=filters.kind,
        for_principal=caller.principal if filters.scope == "me" else None,
        tool=filters.tool,
        component=filters.component,
        risk=filters.risk,
        shape=filters.shape,
        due_before=filters.due_before,
        sort=filters.sort,
    )
    items = [RequirementResource.of(item) for item in page.requirements]
    return Page(items=items, next=page.next_cursor)


@router.get("/counts")
async def count_requirements(service: ServiceOf, caller: Reader) -> InboxCounts:
    """Count what waits for the caller and in all, each up to 1,001."""
    return await service.inbox.counts(caller.viewer, caller.principal)


@router.get("/{requirement_id}")
async def read_requirement(
    service: ServiceOf, caller: Reader, requirement_id: RequirementId
) -> RequirementResource:
    """Read a requirement, pending or not."""
    return RequirementResource.of(await service.inbox.read(caller.viewer, requirement_id))


@router.get("/{requirement_id}/decisions")
async def list_decisions(
    service: ServiceOf, caller: Reader, requirement_id: RequirementId
) -> Page[DecisionResource]:
    """List what was decided about a requirement, in order."""
    decisions = await service.inbox.decisions(caller.viewer, requirement_id)
    return Page(items=[DecisionResource.of(item) for item in decisions])


@router.get("/{requirement_id}/decisions/{decision_id}")
async def read_decision(
    service: ServiceOf,
    caller: Reader,
    requirement_id: RequirementId,
    decision_id: Annotated[str, Path(min_length=1, max_length=240)],
) -> DecisionResource:
    """Read a decision: whether it has arrived."""
    for item in await service.inbox.decisions(caller.viewer, requirement_id):
        if item.id == decision_id:
            return DecisionResource.of(item)
    message = f"Requirement {requirement_id!r} has no decision {decision_id!r}."
    raise NotFound(message)


@router.post("/{requirement_id}/decisions", status_code=status.HTTP_201_CREATED)
async def decide(
    decider: DeciderOf,
    requirement_id: RequirementId,
    body: DecisionBody,
    response: Response,
    key: Key = None,
) -> AcceptedDecision:
    """Decide about a requirement; the run continues by itself."""
    accepted, is_replay = await decider.decide(requirement_id, body, key)
    if is_replay:
        response.headers["Idempotent-Replay"] = "true"
    decision = accepted.decision
    path = f"/v1/requirements/{decision.requirement}/decisions/{decision.id}"
    response.headers["Location"] = path
    return accepted
