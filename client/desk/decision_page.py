"""One decision on the desk of one visitor, and its page."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Response
from fastapi.responses import HTMLResponse

from kern.client.console import pages
from kern.client.console.addresses import requirement_url
from kern.client.console.decision_form import Draft
from kern.client.console.facts import Facts
from kern.client.console.people import away_notes
from kern.client.console.problems import Problem, problem_of
from kern.client.console.requirement import Position, RequirementView, Triage, requirement_view
from kern.client.desk.facts import facts_of
from kern.client.desk.history import events_of
from kern.client.desk.inbox import ROWS
from kern.client.desk.visitors import Operator, Reader, Visitor
from kern.client.service.dossier import Dossier
from kern.client.web.problems import ProblemError
from kern.contracts.triage import away_until
from kern.errors import KernError
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.names import name_key
from kern.values.roles import Right
from kern.values.states import InboxOrder, RequirementStatus

RequirementId = Annotated[str, Path(min_length=1, max_length=240)]


@dataclass(frozen=True)
class Desk:
    """One requirement on one visitor's desk."""

    visitor: Visitor
    dossier: Dossier

    @property
    def requirement(self) -> Requirement:
        """What waits, or was decided."""
        return self.dossier.requirement

    @property
    def hindrance(self) -> str | None:
        """Why the visitor may not decide it; None if they may."""
        return self.visitor.role_hindrance or self.dossier.hindrance

    @property
    def facts(self) -> Facts:
        """How it is presented."""
        return facts_of(self.requirement)

    @property
    def url(self) -> str:
        """Its address."""
        return requirement_url(self.requirement.id)

    def view(
        self,
        draft: Draft | None = None,
        problem: Problem | None = None,
        position: Position | None = None,
    ) -> RequirementView:
        """Return what its page shows; a part of the page shows no position."""
        return requirement_view(
            self.requirement,
            self.dossier.report,
            self.visitor.name,
            self.visitor.csrf,
            new_id() if draft is None else draft.text("decision_id") or new_id(),
            facts=self.facts,
            may_decide=self.hindrance is None,
            position=position,
            events=events_of(self.dossier.history),
            draft=draft,
            problem=problem,
            triage=self._triage(),
            similar=self.dossier.similar,
            away=away_notes(away_until(self.dossier.absences), self.visitor.now),
        )

    def _triage(self) -> Triage | None:
        """Return who takes care of it; None where nobody can any more."""
        is_open = self.requirement.status is RequirementStatus.pending
        if not is_open or not self.visitor.may(Right.operate):
            return None
        claim = self.requirement.claim
        if claim is None or claim.until <= self.visitor.now:
            return Triage(comment_id=new_id())
        is_mine = name_key(claim.by) == name_key(self.visitor.name)
        return Triage(claim.by, is_mine, new_id())

    async def position(self) -> Position:
        """Return where it stands among what waits for the visitor, as far as a page shows it."""
        visitor = self.visitor
        first = await visitor.service.inbox.first_ids(
            visitor.viewer, visitor.principal, limit=ROWS + 1, sort=InboxOrder.due
        )
        ids = first[:ROWS]
        total = None if first[ROWS:] else len(ids)
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
    return Desk(visitor, await visitor.service.inbox.dossier(visitor.viewer, requirement_id))


DeskOf = Annotated[Desk, Depends(desk_of)]


async def deciding_desk(desk: DeskOf, visitor: Operator) -> Desk:
    """Return a requirement on the desk of somebody whose role lets them decide."""
    del visitor
    return desk


DecidingDesk = Annotated[Desk, Depends(deciding_desk)]


async def read_again(desk: Desk) -> Desk:
    """Return the same decision as it stands by now."""
    return await desk_of(desk.visitor, desk.requirement.id)


async def page_of(
    desk: Desk,
    refusal: Problem | None = None,
    draft: Draft | None = None,
    status: int | None = None,
) -> Response:
    """Return the page of a decision, with a refusal and what was posted.

    Args:
        desk: The decision.
        refusal: Why something was refused.
        draft: What was posted.
        status: The HTTP status; default: that of the refusal.
    """
    view = desk.view(draft, refusal, await desk.position())
    page = pages.requirement_page(await desk.visitor.frame(), view)
    return HTMLResponse(page, status or (200 if refusal is None else refusal.status))


async def refused(desk: Desk, error: ProblemError | KernError) -> Response:
    """Return the page of a decision as it stands by now, with why something was refused."""
    return await page_of(await read_again(desk), problem_of(error))
