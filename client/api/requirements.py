"""The routes of what waits for people: list, read, decide."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kern.client.api.decisions import DeciderOf, DecisionBody, WithdrawalBody
from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Id, Page, PageQuery
from kern.client.api.parameters import Key, RequirementId, Search
from kern.client.api.resources import (
    AcceptedDecision,
    DecisionResource,
    HistoryResource,
    RequirementDetails,
    RequirementResource,
)
from kern.client.service.service import Service
from kern.client.web.callers import Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.client.web.problems import FieldProblem, ProblemError
from kern.contracts.caller import Caller
from kern.contracts.decision_states import DecisionState
from kern.contracts.queries import RequirementFilters
from kern.contracts.reports import InboxCounts, RequirementPage
from kern.errors import NotFound
from kern.values.states import InboxOrder, RequirementKind, Risk


class Narrowing(BaseModel):
    """Which open requirements are listed or counted.

    Attributes:
        group: Only those that this group may decide.
        due_before: Only those with a deadline before this moment.
        created_after: Only those asked after this moment.
    """

    model_config = ConfigDict(extra="forbid")

    kind: RequirementKind | None = None
    tool: Id | None = None
    component: Id | None = None
    risk: Risk | None = None
    shape: Id | None = None
    user: Id | None = None
    run: Id | None = None
    session: Id | None = None
    group: Id | None = None
    due_before: AwareDatetime | None = None
    created_after: AwareDatetime | None = None


class Filters(PageQuery, Narrowing):
    """Which requirements are listed, and in which order.

    Attributes:
        status: What is pending; or what is closed, the latest first, without `for`, `sort`,
            `due_before`, `group`, `claimed_by` and `snoozed`.
        scope: `me` for those that wait for the caller: as a candidate, by name or group, or because
            anybody may decide.
        group: Only those that this group may decide.
        claimed_by: Only those that this person takes care of; `me` for the caller.
        snoozed: `me` for those that the caller has put off, which `for=me` leaves out.
        q: Only those with this text in the title, the tool, the arguments or the user, or whose id
            ends so. A page looks at 2,000 at most, and may have none although `next` goes on.
        due_before: Only those with a deadline before this moment.
        created_after: Only those asked after this moment.
        sort: The oldest first, the next deadline first, or the riskiest first.
    """

    status: Literal["pending", "closed"] = "pending"
    scope: Annotated[Literal["me", "all"], Field(alias="for")] = "all"
    claimed_by: Id | None = None
    snoozed: Literal["me"] | None = None
    q: Search | None = None
    sort: InboxOrder = InboxOrder.created


_EXPANDABLE = ("history", "session_effects", "messages", "similar")
Expand = Annotated[
    list[str] | None,
    Query(
        description=f"What is read besides: any of {', '.join(_EXPANDABLE)}, with commas between "
        "them or each in a parameter of its own.",
        max_length=len(_EXPANDABLE),
    ),
]
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
    """List what waits for people, the oldest first or as `sort` says; or what is closed."""
    page = await (_closed if filters.status == "closed" else _pending)(service, caller, filters)
    items = [RequirementResource.of(item) for item in page.requirements]
    return Page(items=items, next=page.next_cursor)


@router.get("/counts")
async def count_requirements(
    service: ServiceOf, caller: Reader, filters: Annotated[Narrowing, Query()]
) -> InboxCounts:
    """Count what waits for the caller and in all, each up to 1,001."""
    return await service.inbox.counts(
        caller.viewer,
        caller.principal,
        created_after=filters.created_after,
        due_before=filters.due_before,
        group=filters.group,
        **_narrowing(filters),
    )


@router.get("/{requirement_id}/history")
async def read_history(
    service: ServiceOf, caller: Reader, requirement_id: RequirementId
) -> Page[HistoryResource]:
    """List what happened to a requirement, the oldest first."""
    entries = await service.inbox.history(caller.viewer, requirement_id)
    return Page(items=[HistoryResource.of(item) for item in entries])


@router.get("/{requirement_id}", response_model_exclude_unset=True)
async def read_requirement(
    service: ServiceOf, caller: Reader, requirement_id: RequirementId, expand: Expand = None
) -> RequirementDetails:
    """Read a requirement, pending or not, with what `expand` names besides."""
    parts = _parts(expand)
    if not parts:
        item = await service.inbox.read(caller.viewer, requirement_id)
        return RequirementDetails.of(item)
    dossier = await service.inbox.dossier(caller.viewer, requirement_id)
    values: dict[str, object] = {
        "history": [HistoryResource.of(entry) for entry in dossier.history],
        "session_effects": dossier.requirement.earlier_calls,
        "messages": dossier.report.run.messages,
        "similar": dossier.similar,
    }
    details = RequirementDetails.of(dossier.requirement)
    return details.model_copy(update={name: values[name] for name in parts})


@router.get("/{requirement_id}/state")
async def read_state(
    service: ServiceOf, caller: Reader, requirement_id: RequirementId
) -> DecisionState:
    """Read where a decision and its call stand."""
    return await service.inbox.state(caller.viewer, requirement_id)


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


@router.post("/{requirement_id}/withdrawal")
async def withdraw(
    decider: DeciderOf,
    requirement_id: RequirementId,
    response: Response,
    body: WithdrawalBody | None = None,
    key: Key = None,
) -> AcceptedDecision:
    """Take back what the caller has approved, until its call has begun."""
    accepted, is_replay = await decider.withdraw(requirement_id, body or WithdrawalBody(), key)
    if is_replay:
        response.headers["Idempotent-Replay"] = "true"
    return accepted


def _parts(expand: list[str] | None) -> list[str]:
    """Return what `expand` names: commas and repetitions are the same."""
    names = [name for text in expand or [] for name in text.split(",") if name]
    unknown = [name for name in names if name not in _EXPANDABLE]
    if unknown:
        message = f"not {unknown[0]:.40}: use {', '.join(_EXPANDABLE)}"
        errors = [FieldProblem(field="expand", message=message)]
        raise ProblemError(422, "invalid_input", f"expand is {message}.", errors=errors)
    return names


async def _pending(service: Service, caller: Caller, filters: Filters) -> RequirementPage:
    claimed_by = caller.principal if filters.claimed_by == "me" else filters.claimed_by
    return await service.inbox.pending(
        caller.viewer,
        limit=filters.limit,
        cursor=filters.after,
        for_principal=caller.principal if filters.scope == "me" else None,
        due_before=filters.due_before,
        group=filters.group,
        claimed_by=claimed_by,
        snoozed_by=caller.principal if filters.snoozed == "me" else None,
        sort=filters.sort,
        created_after=filters.created_after,
        search=filters.q,
        **_narrowing(filters),
    )


async def _closed(service: Service, caller: Caller, filters: Filters) -> RequirementPage:
    narrowing = {
        "for": filters.scope == "me",
        "sort": filters.sort is not InboxOrder.created,
        "due_before": filters.due_before is not None,
        "group": filters.group is not None,
        "claimed_by": filters.claimed_by is not None,
        "snoozed": filters.snoozed is not None,
    }
    errors = [
        FieldProblem(field=name, message="only of what waits: leave it out with status=closed")
        for name, is_used in narrowing.items()
        if is_used
    ]
    if errors:
        names = ", ".join(item.field for item in errors)
        detail = f"What is closed is not narrowed by {names}. Leave that out, or status=closed."
        raise ProblemError(422, "invalid_input", detail, errors=errors)
    return await service.inbox.closed(
        caller.viewer,
        limit=filters.limit,
        cursor=filters.after,
        created_after=filters.created_after,
        search=filters.q,
        **_narrowing(filters),
    )


def _narrowing(filters: Narrowing) -> RequirementFilters:
    """Return what narrows open requirements as it does closed ones."""
    return {
        "user_id": filters.user,
        "run_id": filters.run,
        "session_id": filters.session,
        "kind": filters.kind,
        "tool": filters.tool,
        "component": filters.component,
        "risk": filters.risk,
        "shape": filters.shape,
    }
