"""The routes of triage: claim and release, snooze, delegate, comment."""

from datetime import timedelta

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from kern.client.api.triage import comment_id_of
from kern.client.console.addresses import INBOX
from kern.client.console.problems import problem
from kern.client.desk.decision_page import DecidingDesk, page_of, refused
from kern.client.desk.forms import PostedForm, text_in
from kern.client.service.triage import CLAIM_MINUTES
from kern.errors import KernError

router = APIRouter(prefix="/requirements/{requirement_id}")

# For how long something may be put off.
_MOST_MINUTES = 30 * 24 * 60
_DIGITS = 5


@router.post("/claim")
async def claim(desk: DecidingDesk, posted: PostedForm) -> Response:
    """Take care of a decision, or give it back."""
    triage, visitor = desk.visitor.service.triage, desk.visitor
    try:
        if text_in(posted, "release") == "true":
            await triage.release(visitor.viewer, desk.requirement.id)
        else:
            await triage.claim(visitor.viewer, desk.requirement.id, minutes=CLAIM_MINUTES)
    except KernError as error:
        return await refused(desk, error)
    return RedirectResponse(desk.url, 303)


@router.post("/snooze")
async def snooze(desk: DecidingDesk, posted: PostedForm) -> Response:
    """Put a decision off for some minutes; for none, have it back."""
    text, visitor = text_in(posted, "minutes"), desk.visitor
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not is_number or int(text) > _MOST_MINUTES:
        detail = "Choose for how long it is put off, up to 30 days. Nothing was changed."
        return await page_of(desk, problem("invalid_input", 422, detail))
    try:
        if int(text) == 0:
            await visitor.service.triage.wake(visitor.viewer, desk.requirement.id)
            return RedirectResponse(desk.url, 303)
        until = visitor.now + timedelta(minutes=int(text))
        await visitor.service.triage.snooze(visitor.viewer, desk.requirement.id, until)
    except KernError as error:
        return await refused(desk, error)
    return RedirectResponse(INBOX, 303)


@router.post("/delegate")
async def delegate(desk: DecidingDesk, posted: PostedForm) -> Response:
    """Hand a decision to somebody else."""
    to, visitor = text_in(posted, "to").strip(), desk.visitor
    if not to:
        detail = "Say to whom it is handed. Nothing was changed."
        return await page_of(desk, problem("invalid_input", 422, detail))
    try:
        await visitor.service.triage.delegate(visitor.viewer, desk.requirement.id, to)
    except KernError as error:
        return await refused(desk, error)
    return RedirectResponse(desk.url, 303)


@router.post("/comments")
async def comment(desk: DecidingDesk, posted: PostedForm) -> Response:
    """Write something about a decision."""
    visitor = desk.visitor
    text = text_in(posted, "text").replace("\r\n", "\n").strip()
    if not text:
        detail = "The comment is empty. Nothing was added."
        return await page_of(desk, problem("invalid_input", 422, detail))
    try:
        await visitor.service.triage.comment(
            visitor.viewer,
            desk.requirement.id,
            text,
            comment_id=comment_id_of(
                visitor.caller, desk.requirement.id, text_in(posted, "comment_id") or None
            ),
        )
    except KernError as error:
        return await refused(desk, error)
    return RedirectResponse(desk.url, 303)
