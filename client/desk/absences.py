"""The routes of absences: who looks says that they are away, or back."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from kern.client.console.addresses import INBOX
from kern.client.console.inbox import AwayForm
from kern.client.console.problems import problem_of
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.inbox import InboxQuery, page_of
from kern.client.desk.visitors import Operator
from kern.errors import InvalidInput, KernError

router = APIRouter(prefix="/absence")


@router.post("")
async def begin(visitor: Operator, posted: PostedForm) -> Response:
    """Say that the visitor is away."""
    names = ("until", "since", "note")
    until, since, note = (text_in(posted, name).strip() for name in names)
    try:
        await visitor.service.absences.begin(
            visitor.viewer,
            _moment("until", until),
            since=_moment("since", since) if since else None,
            note=note or None,
        )
    except KernError as error:
        form = AwayForm(until=until, since=since, note=note)
        return await page_of(visitor, InboxQuery(), problem_of(error), form)
    return RedirectResponse(INBOX, 303)


@router.post("/end")
async def end(visitor: Operator, posted: PostedForm) -> Response:
    """Say that the visitor is back."""
    del posted
    try:
        await visitor.service.absences.end(visitor.viewer)
    except KernError as error:
        return await page_of(visitor, InboxQuery(), problem_of(error))
    return RedirectResponse(INBOX, 303)


def _moment(name: str, text: str) -> datetime:
    """Return a time from a form, whose times are UTC as those of all pages."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{name} is {text!r}: give a date and a time (UTC). Nothing was changed."
        raise InvalidInput(message) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
