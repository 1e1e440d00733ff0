"""The routes about who comes in: who the caller is, and the tokens of their tenant."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Page
from kern.client.api.people_resources import EndedSessions, WebSessionResource
from kern.client.web.callers import Administrator, Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.contracts.tokens import Token, token_principal
from kern.values.principals import Principal
from kern.values.roles import Right, Role
from kern.values.states import PrincipalKind

router = APIRouter(tags=["people"], route_class=ConditionalRoute, responses=PROBLEMS)


class CallerResource(BaseModel):
    """Who calls, and what they may do."""

    principal: Principal
    roles: list[Role]
    rights: list[Right]
    method: str


class TokenBody(BaseModel):
    """A token to be new_token.

    Attributes:
        label: What it is for.
        subject: Who comes in with it; the id, which never changes.
        name: The name that people are shown; default: the subject.
        kind: Only a person decides.
        days: For how many days.
    """

    model_config = ConfigDict(extra="forbid")

    label: StrictStr
    subject: StrictStr
    name: StrictStr | None = None
    kind: PrincipalKind = PrincipalKind.person
    groups: list[StrictStr] = []
    roles: Annotated[list[Role], Field(min_length=1)]
    days: Annotated[StrictInt, Field(ge=1, le=366)] = 90


class NewTokenResource(BaseModel):
    """A token that was just made: its secret is shown this once, and kept nowhere."""

    token: Token
    secret: str


@router.get("/me")
async def read_me(caller: Reader) -> CallerResource:
    """Read who calls, and what they may do."""
    return CallerResource(
        principal=caller.principal,
        roles=list(caller.roles),
        rights=sorted(caller.rights),
        method=caller.method,
    )


@router.get("/tokens")
async def list_tokens(service: ServiceOf, caller: Administrator) -> Page[Token]:
    """List the tokens of the caller's tenant, the latest first, without their secrets."""
    return Page(items=await service.access.tokens(caller.viewer))


@router.post("/tokens", status_code=status.HTTP_201_CREATED)
async def make_token(
    service: ServiceOf, caller: Administrator, body: TokenBody
) -> NewTokenResource:
    """Make a token in the caller's tenant."""
    principal = token_principal(
        body.subject,
        name=body.name,
        kind=body.kind,
        groups=body.groups,
        tenant=caller.principal.tenant,
    )
    new_token = await service.access.make_token(
        principal,
        body.roles,
        label=body.label,
        life=timedelta(days=body.days),
        created_by=caller.principal.name,
    )
    return NewTokenResource(token=new_token.token, secret=new_token.secret)


@router.delete("/tokens/{token_id}")
async def revoke_token(
    service: ServiceOf,
    caller: Administrator,
    token_id: Annotated[str, Path(min_length=1, max_length=240)],
) -> Token:
    """Let nobody in with a token from now on."""
    return await service.access.revoke_token(caller.viewer, token_id, caller.principal.name)


@router.get("/web-sessions")
async def list_web_sessions(service: ServiceOf, caller: Administrator) -> Page[WebSessionResource]:
    """List who has signed in to the console in the caller's tenant, the latest first."""
    sessions = await service.access.sessions(caller.viewer)
    return Page(items=[WebSessionResource.of(session) for session in sessions])


@router.delete("/web-sessions")
async def end_web_sessions(
    service: ServiceOf,
    caller: Administrator,
    subject: Annotated[str, Query(min_length=1, max_length=500)],
) -> EndedSessions:
    """End the sessions of somebody in the console: of whoever has this id as the subject."""
    ended = await service.access.end_sessions(caller.viewer, subject, caller.principal.name)
    return EndedSessions(subject=subject, ended=ended)
