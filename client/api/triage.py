"""The routes of triage: claim, hand on, put off, and comment on what waits."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Page, PageQuery
from kern.client.api.parameters import Key, Note, RequirementId
from kern.client.api.refusals import explained, require_person
from kern.client.api.resources import CommentResource, RequirementResource, SnoozeResource
from kern.client.service.triage import CLAIM_MINUTES
from kern.client.web.callers import Operator, Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.client.web.problems import ProblemError
from kern.contracts.caller import Caller
from kern.process.clock import utc_now
from kern.values.canonical import clean_text

# Ids of comments are derived from keys in a space of their own.
_KEYS = uuid.UUID("5b1de0c5-6a3b-5a39-9a0b-2a0f94f1f1a7")
_MOST_MINUTES = 480

router = APIRouter(
    prefix="/requirements/{requirement_id}",
    tags=["triage"],
    route_class=ConditionalRoute,
    responses=PROBLEMS,
)


class ClaimBody(BaseModel):
    """For how many minutes somebody takes care of a requirement."""

    model_config = ConfigDict(extra="forbid")

    minutes: Annotated[StrictInt, Field(ge=1, le=_MOST_MINUTES)] = CLAIM_MINUTES


class DelegationBody(BaseModel):
    """Whom a decision is handed to: a person's name, or `group:` and a group's; and why."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[StrictStr, Field(min_length=1, max_length=240)]
    note: Note | None = None


class SnoozeBody(BaseModel):
    """Until when a requirement is put off: within 30 days, and an hour before it is due at most."""

    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime


class CommentBody(BaseModel):
    """What somebody writes about a requirement; people read it, models do not."""

    model_config = ConfigDict(extra="forbid")

    text: Note


@router.put("/claim")
async def claim(
    service: ServiceOf,
    caller: Operator,
    requirement_id: RequirementId,
    body: ClaimBody | None = None,
) -> RequirementResource:
    """Take care of a requirement for a while; nobody is kept from deciding it."""
    require_person(caller)
    minutes = CLAIM_MINUTES if body is None else body.minutes
    work = service.triage.claim(caller.viewer, requirement_id, minutes=minutes)
    return RequirementResource.of(await explained(work, service.inbox, caller, requirement_id))


@router.delete("/claim")
async def release(
    service: ServiceOf, caller: Operator, requirement_id: RequirementId
) -> RequirementResource:
    """End one's own claim."""
    work = service.triage.release(caller.viewer, requirement_id)
    return RequirementResource.of(await explained(work, service.inbox, caller, requirement_id))


@router.post("/delegation")
async def delegate(
    service: ServiceOf,
    caller: Operator,
    requirement_id: RequirementId,
    body: DelegationBody,
    key: Key = None,
) -> RequirementResource:
    """Hand a decision to another person or group, who may decide it beside the caller."""
    require_person(caller)
    work = service.triage.delegate(
        caller.viewer,
        requirement_id,
        body.to,
        note=body.note,
        comment_id=comment_id_of(caller, requirement_id, key),
    )
    return RequirementResource.of(await explained(work, service.inbox, caller, requirement_id))


@router.put("/snooze")
async def snooze(
    service: ServiceOf, caller: Operator, requirement_id: RequirementId, body: SnoozeBody
) -> SnoozeResource:
    """Put a requirement off for the caller: it is not among what waits for them until then."""
    require_person(caller)
    work = service.triage.snooze(caller.viewer, requirement_id, body.until)
    kept = await explained(work, service.inbox, caller, requirement_id)
    return SnoozeResource(requirement=kept.requirement_id, until=kept.until)


@router.delete("/snooze")
async def wake(
    service: ServiceOf, caller: Operator, requirement_id: RequirementId
) -> RequirementResource:
    """Have a requirement back that the caller has put off."""
    return RequirementResource.of(await service.triage.wake(caller.viewer, requirement_id))


@router.get("/comments")
async def list_comments(
    service: ServiceOf,
    caller: Reader,
    requirement_id: RequirementId,
    query: Annotated[PageQuery, Query()],
) -> Page[CommentResource]:
    """List the comments about a requirement, the oldest first."""
    page = await service.triage.comments(
        caller.viewer, requirement_id, limit=query.limit, cursor=query.after
    )
    items = [CommentResource.of(item) for item in page.comments]
    return Page(items=items, next=page.next_cursor)


@router.post("/comments", status_code=status.HTTP_201_CREATED)
async def comment(
    *,
    service: ServiceOf,
    caller: Operator,
    requirement_id: RequirementId,
    body: CommentBody,
    response: Response,
    key: Key = None,
) -> CommentResource:
    """Write something about a requirement, open or closed."""
    start = utc_now()
    kept = await service.triage.comment(
        caller.viewer,
        requirement_id,
        body.text,
        comment_id=comment_id_of(caller, requirement_id, key),
    )
    if kept.text != clean_text(body.text):
        detail = (
            "Idempotency-Key belongs to another comment about this requirement, which stands. "
            "Nothing was changed. Use a new key for a new comment."
        )
        raise ProblemError(422, "idempotency_key_reused", detail)
    if kept.at < start:
        response.headers["Idempotent-Replay"] = "true"
    return CommentResource.of(kept)


def comment_id_of(caller: Caller, requirement_id: str, key: str | None) -> str | None:
    """Return the id of the comment under a key: the same key, the same id."""
    if key is None:
        return None
    principal = caller.principal
    # None of them has a line break.
    name = f"{principal.tenant}\n{principal.issuer}\n{principal.subject}\n{requirement_id}\n{key}"
    return str(uuid.uuid5(_KEYS, name))
