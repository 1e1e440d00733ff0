"""The route of batches: look-alikes that are decided with one press, each on its own."""

from typing import Literal, cast

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from kern.client.api.refusals import require_person
from kern.client.console import pages
from kern.client.console.batch import BatchItem as Result
from kern.client.console.batch import batch_view
from kern.client.console.facts import Facts
from kern.client.console.states import call_of, state_of
from kern.client.desk.decisions import decision_id_of
from kern.client.desk.facts import facts_of
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.visitors import Operator, Visitor
from kern.client.service.batches import MOST_ITEMS
from kern.client.web.callers import RateOf
from kern.client.web.problems import ProblemError
from kern.contracts.batches import Batch, BatchAnswer, BatchItem
from kern.errors import NotFound

router = APIRouter()

Verdict = Literal["approve", "reject"]


@router.post("/batches")
async def decide_batch(visitor: Operator, rate: RateOf, posted: PostedForm) -> Response:
    """Decide look-alikes together, and show what became of each."""
    batch, key = _batch(posted), decision_id_of(posted)
    require_person(visitor.caller)
    if not await visitor.service.batches.is_kept(visitor.viewer, batch, key):
        rate.count(visitor.principal, len(batch.items))
    answers = await visitor.service.batches.decide(visitor.viewer, batch, key=key)
    results = [await _result(visitor, answer) for answer in answers]
    waiting = await visitor.service.inbox.count_for_me(visitor.viewer, visitor.principal)
    view = batch_view(
        results,
        "approved" if batch.verdict == "approve" else "rejected",
        remaining=waiting,
    )
    return HTMLResponse(pages.batch_page(await visitor.frame(inbox_count=waiting), view))


def _batch(posted: PostedForm) -> Batch:
    """Return the batch that a form holds.

    Raises:
        ProblemError: nothing or too much was selected, or a rejection does not say why.
    """
    verdict, note = text_in(posted, "verdict"), text_in(posted, "note").strip()
    pairs = [text.partition(":") for text in posted.get("item", ())]
    if verdict not in {"approve", "reject"} or not 0 < len(pairs) <= MOST_ITEMS:
        detail = f"Select 1 to {MOST_ITEMS} calls, and approve or reject them. Nothing was decided."
        raise ProblemError(422, "invalid_decision", detail)
    if verdict == "reject" and not note:
        detail = "Say why they are rejected, in the note. Nothing was decided."
        raise ProblemError(422, "invalid_decision", detail)
    items = tuple(
        BatchItem(requirement_id=requirement_id, digest=digest)
        for requirement_id, _, digest in pairs
    )
    return Batch(verdict=cast("Verdict", verdict), items=items, note=note or None)


async def _result(visitor: Visitor, answer: BatchAnswer) -> Result:
    decision = answer.decision
    skipped = "" if decision is not None else answer.detail or answer.code or "It is closed."
    entry = "" if decision is None else f"decision {decision.seq} of its run"
    try:
        dossier = await visitor.service.inbox.dossier(visitor.viewer, answer.requirement_id)
    except NotFound:
        # There never was one, or its session has been deleted; the others were decided.
        return Result(None, Facts(), entry=entry, skipped=skipped)
    requirement = dossier.requirement
    facts = facts_of(requirement)
    if decision is None:
        return Result(requirement, facts, skipped=skipped)
    call = call_of(requirement, dossier.report)
    return Result(requirement, facts, state_of(requirement, facts, call, waits_for="others"), entry)
