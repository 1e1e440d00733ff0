"""The console as an application of its own, which a server mounts at `/desk`."""

from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from kern.client.console import pages
from kern.client.console.addresses import SIGN_IN, STATIC, with_query
from kern.client.console.frame import Frame, theme_of
from kern.client.console.problems import Problem, problem, problem_of
from kern.client.console.static_files import STATIC_HEADERS, static_files
from kern.client.desk import (
    absences,
    audit,
    batches,
    deliveries,
    feed,
    inbox,
    requirements,
    runs,
    sessions,
    sign_in,
    single_sign_on,
    stuck,
    triage,
)
from kern.client.desk.cookies import THEME, forget_session, session_secret
from kern.client.desk.stuck_counts import StuckCounts
from kern.client.desk.visitors import is_fragment, visitor_of
from kern.client.identity.sign_on import SignOn
from kern.client.service.service import Service
from kern.client.web.problems import ProblemError
from kern.client.web.rates import DecisionRate
from kern.errors import KernError, Unauthenticated
from kern.process.clock import utc_now
from kern.process.logs import get_logger

_log = get_logger("kern.web")

_ROOMS = (
    *(sign_in, single_sign_on, inbox, batches, requirements, triage, absences),
    *(runs, sessions, stuck, deliveries, audit, feed),
)
_CODES = {404: "not_found", 413: "too_large"}


def desk_application(
    service: Service,
    rate: DecisionRate,
    sign_on: SignOn | None,
    *,
    is_secure: bool,
    is_local: bool,
    fresh_seconds: float | None = None,
) -> FastAPI:
    """Return the console over a service.

    Args:
        service: The service, which whoever opened it closes.
        rate: Counts the decisions of each person, together with those over the API.
        sign_on: Has people sign in with an identity provider; None without one.
        is_secure: Whether browsers reach it over TLS, so that cookies may say so.
        is_local: Whether only this machine reaches it, so that links let people in.
        fresh_seconds: How recently somebody must have authenticated before they decide what has a
            high risk; None for at any time.
    """
    desk = FastAPI(title="Kern's desk", openapi_url=None, docs_url=None, redoc_url=None)
    desk.state.service, desk.state.rate, desk.state.is_secure = service, rate, is_secure
    desk.state.stuck, desk.state.is_local = StuckCounts(service), is_local
    desk.state.sign_on, desk.state.fresh_seconds = sign_on, fresh_seconds
    for room in _ROOMS:
        desk.include_router(room.router)
    desk.add_api_route("/static/{name}", _static_file)
    desk.add_exception_handler(Unauthenticated, _on_unauthenticated)
    desk.add_exception_handler(KernError, _on_refusal)
    desk.add_exception_handler(ProblemError, _on_refusal)
    desk.add_exception_handler(RequestValidationError, _on_invalid)
    desk.add_exception_handler(HTTPException, _on_http)
    desk.add_exception_handler(Exception, _on_error)
    return desk


async def _static_file(name: str) -> Response:
    file = static_files().get(STATIC + name)
    if file is None:
        raise HTTPException(404)
    headers = {"Content-Type": file.content_type, **STATIC_HEADERS}
    return Response(file.content, headers=headers)


async def _on_unauthenticated(request: Request, error: Exception) -> Response:
    """Lead whoever opens a page to the sign-in; say to whoever sends a form that it was refused."""
    del error
    if request.method in {"GET", "HEAD"} and not is_fragment(request):
        query = f"?{request.url.query}" if request.url.query else ""
        target = with_query(SIGN_IN, next=f"{request.url.path}{query}")
        response: Response = RedirectResponse(target, 303)
    else:
        refusal = problem("unauthenticated", 401, link=SIGN_IN, link_text="Sign in")
        response = await _answer(request, refusal)
    if session_secret(request) is not None:
        forget_session(request, response)
    return response


async def _on_refusal(request: Request, error: Exception) -> Response:
    return await _answer(request, problem_of(cast("KernError | ProblemError", error)))


async def _on_invalid(request: Request, error: Exception) -> Response:
    items = cast("RequestValidationError", error).errors()
    names = ", ".join(dict.fromkeys(str(item["loc"][-1]) for item in items))
    detail = f"The address is refused because of {names}. Nothing was changed."
    return await _answer(request, problem("invalid_input", 422, detail))


async def _on_http(request: Request, error: Exception) -> Response:
    refused = cast("HTTPException", error)
    code = _CODES.get(refused.status_code, "malformed")
    detail = "" if code == "not_found" else f"{refused.detail}. Nothing was changed."
    return await _answer(request, problem(code, refused.status_code, detail))


async def _on_error(request: Request, error: Exception) -> Response:
    _log.error("request_broke", path=request.url.path, exc_info=error)
    detail = "Kern failed, and its log says where. It is not known whether anything was changed."
    return await _answer(request, problem("error", 500, detail))


async def _answer(request: Request, refusal: Problem) -> Response:
    frame = await _frame(request)
    if is_fragment(request):
        return HTMLResponse(pages.problem_fragment(frame, refusal), refusal.status)
    return HTMLResponse(pages.error_page(frame, refusal), refusal.status)


async def _frame(request: Request) -> Frame:
    """Return the frame of whoever looks, as far as that can be found out now."""
    theme = theme_of(request.cookies.get(THEME))
    try:
        visitor = await visitor_of(request, request.app.state.service)
        return await visitor.frame()
    except KernError:
        return Frame(utc_now(), theme=theme, feed_url=None)
