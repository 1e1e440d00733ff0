"""Who calls: read from the credential of a request, never from what else it carries."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from kern.client.identity.sign_on import SignOn
from kern.client.service.access import TOKEN_PREFIX
from kern.client.service.service import Service
from kern.client.web.rates import DecisionRate
from kern.contracts.caller import Caller
from kern.errors import Unauthenticated
from kern.process.clock import utc_now
from kern.values.roles import Right

_bearer = HTTPBearer(
    auto_error=False,
    description="A token of `kern token create`, or an access token of the identity provider.",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def service_of(request: Request) -> Service:
    """Return the service behind an application."""
    return cast("Service", request.app.state.service)


ServiceOf = Annotated[Service, Depends(service_of)]


def rate_of(request: Request) -> DecisionRate:
    """Return what counts the decisions of each person."""
    return cast("DecisionRate", request.app.state.rate)


RateOf = Annotated[DecisionRate, Depends(rate_of)]


def sign_on_of(request: Request) -> SignOn | None:
    """Return the identity provider behind an application; None without one."""
    return cast("SignOn | None", request.app.state.sign_on)


SignOnOf = Annotated[SignOn | None, Depends(sign_on_of)]


async def caller_by_token(
    request: Request, service: ServiceOf, sign_on: SignOnOf, credentials: Credentials
) -> Caller:
    """Return who calls the API with a token: one of Kern's own, or of the identity provider.

    Raises:
        Unauthenticated: there is none, or it lets nobody in.
        NotAllowed: none of their groups has a role here.
        Unavailable: the identity provider does not answer.
    """
    if credentials is None:
        message = (
            "The request has no token. Send `Authorization: Bearer kern_…` with a token of "
            "`kern token create`."
        )
        raise Unauthenticated(message)
    secret = credentials.credentials
    if sign_on is None or secret.startswith(TOKEN_PREFIX):
        caller = await service.access.caller_of_token(secret)
    else:
        caller = await sign_on.caller_of(secret)
    return caller.at(utc_now(), request.app.state.fresh_seconds)


def _with(right: Right) -> object:
    async def caller(caller: Annotated[Caller, Depends(caller_by_token)]) -> Caller:
        caller.require(right)
        return caller

    return Depends(caller)


Reader = Annotated[Caller, _with(Right.read)]
Operator = Annotated[Caller, _with(Right.operate)]
Auditor = Annotated[Caller, _with(Right.audit)]
Administrator = Annotated[Caller, _with(Right.administer)]
