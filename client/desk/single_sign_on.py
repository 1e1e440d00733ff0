"""Single sign-on: sends people to the identity provider, and takes them in when they come back."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from kern.client.console.addresses import DESK, SIGN_IN
from kern.client.console.entry import local_path
from kern.client.console.problems import Problem
from kern.client.desk.cookies import form_secret, keep_form_secret, session_secret
from kern.client.desk.sign_in import SSO, sign_in_answer, signed_in_answer
from kern.client.identity.code_flow import Answer
from kern.client.identity.sign_on import SignOn
from kern.client.web.callers import ServiceOf, SignOnOf
from kern.client.web.problems import ProblemError
from kern.errors import KernError, NotAllowed, Unauthenticated, Unavailable

router = APIRouter(prefix=SIGN_IN.removeprefix(DESK))

# Nothing of what comes back is longer.
_LONGEST = 8_000
# A provider's answer has to fit into an address.
_LONGEST_NEXT = 1_000
_TITLES: dict[type[KernError], str] = {
    Unauthenticated: "The sign-in did not work",
    NotAllowed: "You have no role here",
    Unavailable: "The identity provider does not answer",
}

Returned = Annotated[str | None, Query(max_length=_LONGEST)]


async def returned_answer(
    *,
    state: Annotated[str, Query(max_length=_LONGEST)] = "",
    code: Returned = None,
    error: Returned = None,
    issuer: Annotated[str | None, Query(alias="iss", max_length=_LONGEST)] = None,
) -> Answer:
    """Return with what a browser comes back from the identity provider."""
    return Answer(state=state, code=code, error=error, issuer=issuer)


AnswerOf = Annotated[Answer, Depends(returned_answer)]


@router.get(SSO.removeprefix(SIGN_IN))
async def begin_sign_in(
    request: Request,
    sign_on: SignOnOf,
    next_url: Annotated[str, Query(alias="next")] = "",
    is_fresh: Annotated[bool, Query(alias="fresh")] = False,  # noqa: FBT002  a query's flag
) -> Response:
    """Send a visitor to the identity provider."""
    provider = _provider(sign_on)
    path = local_path(next_url if len(next_url) <= _LONGEST_NEXT else None)
    response = RedirectResponse(SIGN_IN, 303)
    secret = keep_form_secret(request, response)
    try:
        url = await provider.begin(secret, path, _site(request), is_fresh=is_fresh)
    except KernError as error:
        return sign_in_answer(request, path, _problem(error), status=error.http_status)
    response.headers["Location"] = url
    return response


@router.get("/callback")
async def finish_sign_in(
    request: Request, service: ServiceOf, sign_on: SignOnOf, answer: AnswerOf
) -> Response:
    """Begin the session of somebody who comes back from the identity provider."""
    provider, form = _provider(sign_on), form_secret(request)
    try:
        person = await provider.finish(answer, form, _site(request))
    except KernError as error:
        if await _has_session(request, service, error):
            return RedirectResponse(local_path(None), 303)
        next_url = provider.next_url(answer, form)
        return sign_in_answer(request, next_url, _problem(error), status=error.http_status)
    secret = await service.access.begin_session(person.caller)
    return await signed_in_answer(request, service, secret, person.next_url)


def _provider(sign_on: SignOn | None) -> SignOn:
    if sign_on is None or not sign_on.has_console:
        detail = "Nobody signs in here with an identity provider. Sign in with a token."
        raise ProblemError(404, "not_found", detail)
    return sign_on


async def _has_session(request: Request, service: ServiceOf, refusal: KernError) -> bool:
    """Whether a visitor has only gone back to an address with which they had signed in."""
    secret = session_secret(request)
    if secret is None or form_secret(request) is not None:
        return False
    if not isinstance(refusal, Unauthenticated):
        return False
    try:
        await service.access.session_of(secret)
    except KernError:
        return False
    return True


def _site(request: Request) -> str:
    """Return the address under which the browser knows the console."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _problem(error: KernError) -> Problem:
    title = next(
        (title for kind, title in _TITLES.items() if isinstance(error, kind)),
        "The sign-in did not work",
    )
    return Problem(title, str(error), error.http_status, error.code, "warn")
