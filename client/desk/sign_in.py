"""Sign-in with a personal token, or with the link that a process on this machine has printed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from kern.client.console import pages
from kern.client.console.addresses import INBOX, SIGN_IN
from kern.client.console.entry import SignInView, local_path
from kern.client.console.frame import Frame, theme_of
from kern.client.console.problems import Problem, problem_of
from kern.client.desk.cookies import (
    THEME,
    csrf_token,
    forget_session,
    keep_form_secret,
    keep_session,
    session_secret,
)
from kern.client.desk.forms import PostedForm, VisitorForm, text_in
from kern.client.web.callers import ServiceOf, sign_on_of
from kern.errors import Unauthenticated
from kern.process.clock import utc_now

router = APIRouter()

SSO = f"{SIGN_IN}/sso"


@router.get("/signin")
async def sign_in_page(
    request: Request,
    next_url: Annotated[str, Query(alias="next")] = "",
    is_fresh: Annotated[bool, Query(alias="fresh")] = False,  # noqa: FBT002  a query's flag
) -> Response:
    """Show how to sign in."""
    return sign_in_answer(request, next_url, is_fresh=is_fresh)


@router.post("/signin/token")
async def sign_in_with_token(request: Request, service: ServiceOf, posted: VisitorForm) -> Response:
    """Sign in with a personal token."""
    next_url = text_in(posted, "next")
    try:
        secret = await service.access.sign_in_with_token(text_in(posted, "token").strip())
    except Unauthenticated as error:
        return sign_in_answer(request, next_url, problem_of(error), status=401)
    return await signed_in_answer(request, service, secret, next_url)


@router.get("/link/{secret}")
async def sign_in_with_link(request: Request, service: ServiceOf, secret: str) -> Response:
    """Sign in with a link, which is used up by it; on this machine alone."""
    if not request.app.state.is_local:
        raise HTTPException(404)
    try:
        session = await service.access.sign_in_with_link(secret)
    except Unauthenticated as error:
        return sign_in_answer(request, "", problem_of(error), status=401)
    return await signed_in_answer(request, service, session, "")


@router.post("/signout")
async def sign_out(request: Request, service: ServiceOf, posted: PostedForm) -> Response:
    """End the session."""
    del posted
    secret = session_secret(request)
    if secret is not None:
        await service.access.end_session(secret)
    response = RedirectResponse(SIGN_IN, 303)
    forget_session(request, response)
    return response


def sign_in_answer(
    request: Request,
    next_url: str,
    problem: Problem | None = None,
    *,
    status: int = 200,
    is_fresh: bool = False,
) -> Response:
    """Return the page of the sign-in, whose form is bound to a cookie of the visitor's."""
    response = HTMLResponse("", status)
    csrf = csrf_token(keep_form_secret(request, response))
    frame = Frame(utc_now(), theme=theme_of(request.cookies.get(THEME)), feed_url=None)
    sign_on = sign_on_of(request)
    sso_url = SSO if sign_on is not None and sign_on.has_console else None
    view = SignInView(sso_url, local_path(next_url), csrf=csrf, problem=problem, is_fresh=is_fresh)
    response.body = pages.sign_in_page(frame, view).encode()
    response.headers["Content-Length"] = str(len(response.body))
    return response


async def signed_in_answer(
    request: Request, service: ServiceOf, secret: str, next_url: str
) -> Response:
    """Continue with a new session; the one before it, if there is one, is over."""
    before = session_secret(request)
    if before is not None:
        await service.access.end_session(before)
    response = RedirectResponse(local_path(next_url) if next_url else INBOX, 303)
    keep_session(request, response, secret)
    return response
