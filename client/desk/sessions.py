"""The routes of sessions: the list, one conversation, rename and delete."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from kern.client.console import pages
from kern.client.console.addresses import SESSIONS, session_url, with_query
from kern.client.console.problems import Problem, problem, problem_of
from kern.client.console.sessions import session_name, session_view, sessions_view
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.visitors import Administrator, Operator, Reader, Visitor
from kern.errors import KernError

router = APIRouter(prefix="/sessions")

SessionId = Annotated[str, Path(min_length=1, max_length=240)]
After = Annotated[str, Query(max_length=240)]
Search = Annotated[str, Query(max_length=240)]
_ROWS = 25


@router.get("")
async def sessions_page(visitor: Reader, q: Search = "", after: After = "") -> Response:
    """Show the sessions."""
    return await _page(visitor, None, q, after)


@router.get("/{session_id}")
async def session_page(
    visitor: Reader, session_id: SessionId, q: Search = "", after: After = ""
) -> Response:
    """Show a session beside the others."""
    return await _page(visitor, session_id, q, after)


@router.post("/{session_id}/rename")
async def rename(visitor: Operator, session_id: SessionId, posted: PostedForm) -> Response:
    """Give a session a name."""
    try:
        full = await visitor.service.sessions.full_id(visitor.viewer, session_id)
        await visitor.service.sessions.rename(visitor.viewer, full, text_in(posted, "name"))
    except KernError as error:
        return await _page(visitor, session_id, refusal=problem_of(error))
    return RedirectResponse(session_url(full), 303)


@router.post("/{session_id}/delete")
async def delete(visitor: Administrator, session_id: SessionId, posted: PostedForm) -> Response:
    """Delete a session whose name was typed; its decisions stay in the log."""
    full = await visitor.service.sessions.full_id(visitor.viewer, session_id)
    session = await visitor.service.sessions.read(visitor.viewer, full)
    if text_in(posted, "typed").strip() != session_name(session).strip():
        detail = "Nothing was deleted. Type the name of the session to delete it."
        refusal = problem("confirmation_mismatch", 422, detail)
        return await _page(visitor, session_id, refusal=refusal)
    try:
        await visitor.service.sessions.delete(visitor.viewer, full)
    except KernError as error:
        return await _page(visitor, session_id, refusal=problem_of(error))
    return RedirectResponse(SESSIONS, 303)


async def _page(
    visitor: Visitor,
    session_id: str | None,
    q: str = "",
    after: str = "",
    *,
    refusal: Problem | None = None,
) -> Response:
    service, viewer = visitor.service, visitor.viewer
    view = None
    if session_id is not None:
        full = await service.sessions.full_id(viewer, session_id)
        report = await service.sessions.report(viewer, full, _ROWS)
        latest = report.runs[0].run_id if report.runs else None
        view = session_view(
            report, None if latest is None else await service.runs.report(viewer, latest)
        )
    page = await service.sessions.page(viewer, _ROWS, after or None, search=q or None)
    more = page.next_cursor
    next_url = None if more is None else with_query(SESSIONS, q=q, after=more)
    listed = sessions_view(page.sessions, view, query=q, next_url=next_url, problem=refusal)
    text = pages.sessions_page(await visitor.frame(), listed)
    return HTMLResponse(text, 200 if refusal is None else refusal.status)
