"""Who calls: read from the credential of a request, never from what else it carries."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from kern.client.service.service import Service
from kern.client.web.rates import DecisionRate
from kern.contracts.caller import Caller
from kern.errors import Unauthenticated
from kern.values.roles import Right

_bearer = HTTPBearer(auto_error=False, description="A token of `kern token create`.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def service_of(request: Request) -> Service:
    """Return the service behind an application."""
    return cast("Service", request.app.state.service)


ServiceOf = Annotated[Service, Depends(service_of)]


def rate_of(request: Request) -> DecisionRate:
    """Return what counts the decisions of each person."""
    return cast("DecisionRate", request.app.state.rate)


RateOf = Annotated[DecisionRate, Depends(rate_of)]


async def caller_by_token(service: ServiceOf, credentials: Credentials) -> Caller:
    """Return who calls the API with a token.

    Raises:
        Unauthenticated: there is none, or it lets nobody in.
    """
    if credentials is None:
        message = (
            "The request has no token. Send `Authorization: Bearer kern_…` with a token of "
            "`kern token create`."
        )
        raise Unauthenticated(message)
    return await service.access.caller_of_token(credentials.credentials)


def _with(right: Right) -> object:
    async def caller(caller: Annotated[Caller, Depends(caller_by_token)]) -> Caller:
        caller.require(right)
        return caller

    return Depends(caller)


Reader = Annotated[Caller, _with(Right.read)]
Operator = Annotated[Caller, _with(Right.operate)]
Auditor = Annotated[Caller, _with(Right.audit)]
Administrator = Annotated[Caller, _with(Right.administer)]
