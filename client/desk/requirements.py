"""The routes of one decision: its page, deciding, editing, withdrawing."""

from dataclasses import replace
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from kern.client.api.decisions import Decider, DecisionBody
from kern.client.console import pages
from kern.client.console.addresses import INBOX, SIGN_IN, with_query
from kern.client.console.decision_form import Draft
from kern.client.console.edit import EditResult, edit_view, read_edit
from kern.client.console.form_fields import Posted
from kern.client.console.inbox import row_of
from kern.client.console.problems import Problem, problem, problem_of
from kern.client.console.row_approval import can_approve_on_row
from kern.client.desk.decision_page import (
    DecidingDesk,
    Desk,
    DeskOf,
    page_of,
    read_again,
    refused,
)
from kern.client.desk.decisions import RefusedForm, body_of, decision_id_of
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.inbox import entry_of
from kern.client.web.callers import RateOf
from kern.client.web.problems import ProblemError
from kern.errors import KernError
from kern.values.ids import new_id
from kern.values.states import RequirementStatus

router = APIRouter(prefix="/requirements/{requirement_id}")

# Somebody or a deadline was first: the page shows the ending.
_CLOSED = frozenset({"already_resolved", "expired", "cancelled"})


@router.get("")
async def requirement_page(desk: DeskOf) -> Response:
    """Show a decision."""
    return await page_of(desk)


@router.get("/state")
async def requirement_state(desk: DeskOf, part: Literal["line", "whole"] = "whole") -> Response:
    """Show where a decision stands."""
    frame = await desk.visitor.frame()
    return HTMLResponse(pages.state_fragment(frame, desk.view(), is_line=part == "line"))


@router.post("/decisions")
async def decide(desk: DecidingDesk, rate: RateOf, posted: PostedForm) -> Response:
    """Decide."""
    is_row = text_in(posted, "from") == "row"
    form = desk.view().form
    if form is None:
        # It is closed by now, or asks for others: the page says so.
        return await _ended(desk, is_row=is_row)
    try:
        body = body_of(desk.requirement, desk.facts, form, posted)
        if is_row:
            _check_row(desk)
        await _decide(desk, rate, body, decision_id_of(posted))
    except RefusedForm as error:
        return await _refused(desk, error, posted, is_row=is_row)
    except (ProblemError, KernError) as error:
        refusal = with_sign_in(problem_of(error), desk.url)
        if refusal.code in _CLOSED:
            return await _ended(desk, is_row=is_row)
        if is_row:
            return await _row(await read_again(desk), refusal)
        return await page_of(await read_again(desk), refusal, Draft(posted))
    return await _ended(desk, is_row=is_row)


@router.get("/edit")
async def edit_page(desk: DecidingDesk) -> Response:
    """Show the form with which the arguments are edited."""
    if desk.hindrance is not None or desk.requirement.status is not RequirementStatus.pending:
        return RedirectResponse(desk.url, 303)
    return await _edit_page(desk)


@router.post("/edit")
async def compare(desk: DecidingDesk, posted: PostedForm) -> Response:
    """Show what an edit changes; nothing is stored."""
    result = read_edit(desk.requirement, desk.facts, posted)
    note = text_in(posted, "note")
    if result.problems:
        return await _edit_page(desk, result, note, status=422)
    if not result.changes:
        refusal = problem(
            "invalid_decision", 422, "Nothing was changed. Change a value, or discard."
        )
        return await _edit_page(desk, result, note, refusal, status=422)
    return await _edit_page(desk, result, note)


@router.post("/withdraw")
async def withdraw(desk: DecidingDesk, rate: RateOf, posted: PostedForm) -> Response:
    """Take one's own decision back."""
    del posted
    try:
        await _decide(desk, rate, DecisionBody(verdict="withdraw"), new_id())
    except (ProblemError, KernError) as error:
        return await refused(desk, error)
    return RedirectResponse(desk.url, 303)


def _check_row(desk: Desk) -> None:
    """Refuse to decide from a row what a row does not offer.

    Raises:
        ProblemError: it has to be opened first.
    """
    if not can_approve_on_row(desk.requirement, desk.facts, may_decide=desk.hindrance is None):
        detail = "A row does not show all of it. Nothing was decided. Open it, and decide there."
        raise ProblemError(422, "high_risk", detail)


def with_sign_in(refusal: Problem, url: str) -> Problem:
    """Return a refusal with the link that mends it, if a fresh sign-in does."""
    if refusal.code != "fresh_sign_in_required":
        return refusal
    link = with_query(SIGN_IN, fresh="1", next=url)
    return replace(refusal, link=link, link_text="Sign in again")


async def _decide(desk: Desk, rate: RateOf, body: DecisionBody, key: str) -> None:
    visitor = desk.visitor
    decider = Decider(visitor.service.inbox, visitor.caller, rate)
    await decider.decide(desk.requirement.id, body, key)


async def _ended(desk: Desk, *, is_row: bool) -> Response:
    """Go on after a decision: to its page, or to the row as it stands now."""
    if not is_row:
        return RedirectResponse(desk.url, 303)
    if not desk.visitor.is_fragment:
        return RedirectResponse(INBOX, 303)
    return await _row(await read_again(desk))


async def _row(desk: Desk, refusal: Problem | None = None) -> Response:
    if not desk.visitor.is_fragment:
        return await page_of(desk, refusal)
    entry = entry_of(desk.requirement, desk.hindrance, problem=refusal)
    fragment = pages.row_fragment(await desk.visitor.frame(), row_of(entry, desk.visitor.now))
    return HTMLResponse(fragment, 200 if refusal is None else refusal.status)


async def _refused(desk: Desk, error: RefusedForm, posted: Posted, *, is_row: bool) -> Response:
    """Show a form again, with everything that was typed and what is wrong with it."""
    refusal = None if error.problem is None else problem_of(error.problem)
    if error.edit is not None:
        return await _edit_page(desk, error.edit, text_in(posted, "note"), refusal, status=422)
    if is_row:
        return await _row(desk, refusal)
    return await page_of(desk, refusal, error.draft, 422)


async def _edit_page(
    desk: Desk,
    result: EditResult | None = None,
    note: str = "",
    refusal: Problem | None = None,
    *,
    status: int = 200,
) -> Response:
    view = edit_view(
        desk.requirement,
        desk.visitor.name,
        desk.visitor.csrf,
        new_id(),
        facts=desk.facts,
        result=result,
        note=note,
        problem=refusal,
    )
    return HTMLResponse(pages.edit_page(await desk.visitor.frame(), view), status)
