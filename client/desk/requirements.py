"""The routes of one decision: its page, deciding, editing, withdrawing."""

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from kern.client.api.decisions import Decider, DecisionBody
from kern.client.console import pages
from kern.client.console.decision_form import Draft
from kern.client.console.edit import EditResult, edit_view, read_edit
from kern.client.console.facts import Facts
from kern.client.console.form_fields import Posted
from kern.client.console.inbox import row_of
from kern.client.console.problems import Problem, problem
from kern.client.console.requirement import (
    Position,
    RequirementView,
    requirement_url,
    requirement_view,
)
from kern.client.desk.decisions import RefusedForm, body_of, decision_id_of
from kern.client.desk.facts import facts_of
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.inbox import ROWS, entry_of
from kern.client.desk.sign_in import SIGN_IN
from kern.client.desk.visitors import Operator, Reader, Visitor
from kern.client.web.callers import RateOf
from kern.client.web.problems import ProblemError
from kern.contracts.reports import RunReport
from kern.errors import KernError
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.states import InboxOrder, RequirementStatus

router = APIRouter(prefix="/requirements/{requirement_id}")

RequirementId = Annotated[str, Path(min_length=1, max_length=240)]
# Somebody or a deadline was first: the page shows the ending.
_CLOSED = frozenset({"already_resolved", "expired", "cancelled"})


@dataclass(frozen=True)
class Desk:
    """One requirement on one visitor's desk."""

    visitor: Visitor
    requirement: Requirement
    hindrance: str | None

    @property
    def facts(self) -> Facts:
        """How it is presented."""
        return facts_of(self.requirement)

    @property
    def url(self) -> str:
        """Its address."""
        return requirement_url(self.requirement.id)

    async def view(
        self, draft: Draft | None = None, problem: Problem | None = None
    ) -> RequirementView:
        """Return what its page shows."""
        return requirement_view(
            self.requirement,
            await self._report(),
            self.visitor.name,
            self.visitor.csrf,
            new_id() if draft is None else draft.text("decision_id") or new_id(),
            facts=self.facts,
            may_decide=self.hindrance is None,
            position=await self._position(),
            draft=draft,
            problem=problem,
        )

    async def _report(self) -> RunReport:
        return await self.visitor.service.runs.report(self.visitor.viewer, self.requirement.run_id)

    async def _position(self) -> Position:
        """Return where it stands among what waits for the visitor, as far as a page shows it."""
        visitor = self.visitor
        page = await visitor.service.inbox.pending(
            visitor.viewer, limit=ROWS, for_principal=visitor.principal, sort=InboxOrder.due
        )
        ids = [item.id for item in page.requirements]
        total = None if page.next_cursor else len(ids)
        if self.requirement.id not in ids:
            after = requirement_url(ids[0]) if ids else None
            return Position(total=total, next_url=after, remaining=total)
        index = ids.index(self.requirement.id)
        return Position(
            index=index + 1 if total else None,
            total=total,
            previous_url=requirement_url(ids[index - 1]) if index else None,
            next_url=requirement_url(ids[index + 1]) if ids[index + 1 :] else None,
            remaining=total,
        )


async def desk_of(visitor: Reader, requirement_id: RequirementId) -> Desk:
    """Return a requirement on a visitor's desk.

    Raises:
        NotFound: there is none, as far as the visitor may know.
    """
    requirement = await visitor.service.inbox.read(visitor.viewer, requirement_id)
    reasons = await visitor.service.inbox.hindrances(visitor.viewer, [requirement.id])
    return Desk(visitor, requirement, reasons.get(requirement.id))


DeskOf = Annotated[Desk, Depends(desk_of)]


async def deciding_desk(desk: DeskOf, visitor: Operator) -> Desk:
    """Return a requirement on the desk of somebody whose role lets them decide."""
    del visitor
    return desk


DecidingDesk = Annotated[Desk, Depends(deciding_desk)]


@router.get("")
async def requirement_page(desk: DeskOf) -> Response:
    """Show a decision."""
    return await _page(desk)


@router.get("/state")
async def requirement_state(desk: DeskOf) -> Response:
    """Show the state line of a decision."""
    return HTMLResponse(pages.state_fragment(await desk.visitor.frame(), await desk.view()))


@router.post("/decisions")
async def decide(desk: DecidingDesk, rate: RateOf, posted: PostedForm) -> Response:
    """Decide."""
    is_row = text_in(posted, "from") == "row"
    view = await desk.view()
    if view.form is None:
        # It is closed by now, or asks for others: the page says so.
        return await _ended(desk, is_row=is_row)
    try:
        body = body_of(desk.requirement, desk.facts, view.form, posted)
        await _decide(desk, rate, body, decision_id_of(posted))
    except RefusedForm as refused:
        return await _refused(desk, refused, posted, is_row=is_row)
    except (ProblemError, KernError) as error:
        refusal = with_sign_in(problem_of(error), desk.url)
        if refusal.code in _CLOSED:
            return await _ended(await _again(desk), is_row=is_row)
        if is_row:
            return await _row(await _again(desk), refusal)
        return await _page(await _again(desk), Draft(posted), refusal)
    return await _ended(await _again(desk), is_row=is_row)


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
        return await _page(await _again(desk), None, problem_of(error))
    return RedirectResponse(desk.url, 303)


def problem_of(error: ProblemError | KernError) -> Problem:
    """Return what a page says of a refusal."""
    if isinstance(error, ProblemError):
        return problem(error.code, error.status, error.detail)
    return problem(error.code, error.http_status, str(error))


def with_sign_in(refusal: Problem, url: str) -> Problem:
    """Return a refusal with the link that mends it, if a fresh sign-in does."""
    if refusal.code != "fresh_sign_in_required":
        return refusal
    link = f"{SIGN_IN}?{urlencode({'fresh': '1', 'next': url})}"
    return replace(refusal, link=link, link_text="Sign in again")


async def _decide(desk: Desk, rate: RateOf, body: DecisionBody, key: str) -> None:
    visitor = desk.visitor
    decider = Decider(visitor.service.inbox, visitor.caller, rate)
    await decider.decide(desk.requirement.id, body, key)


async def _again(desk: Desk) -> Desk:
    return await desk_of(desk.visitor, desk.requirement.id)


async def _page(desk: Desk, draft: Draft | None = None, refusal: Problem | None = None) -> Response:
    page = pages.requirement_page(await desk.visitor.frame(), await desk.view(draft, refusal))
    return HTMLResponse(page, 200 if refusal is None else refusal.status)


async def _ended(desk: Desk, *, is_row: bool) -> Response:
    """Go on after a decision: to its page, or to the row as it stands now."""
    if not is_row:
        return RedirectResponse(desk.url, 303)
    return await _row(desk) if desk.visitor.is_fragment else RedirectResponse("/desk/inbox", 303)


async def _row(desk: Desk, refusal: Problem | None = None) -> Response:
    if not desk.visitor.is_fragment:
        return await _page(desk, None, refusal)
    entry = entry_of(desk.requirement, desk.hindrance, problem=refusal)
    fragment = pages.row_fragment(await desk.visitor.frame(), row_of(entry, desk.visitor.now))
    return HTMLResponse(fragment, 200 if refusal is None else refusal.status)


async def _refused(desk: Desk, refused: RefusedForm, posted: Posted, *, is_row: bool) -> Response:
    """Show a form again, with everything that was typed and what is wrong with it."""
    refusal = None if refused.problem is None else problem_of(refused.problem)
    if refused.edit is not None:
        return await _edit_page(desk, refused.edit, text_in(posted, "note"), refusal, status=422)
    if is_row:
        return await _row(desk, refusal)
    page = pages.requirement_page(
        await desk.visitor.frame(), await desk.view(refused.draft, refusal)
    )
    return HTMLResponse(page, 422)


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
