"""Posted forms: taken only from pages of the console itself, in the session that they belong to."""

import hmac
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request

from kern.client.console.form_fields import Posted
from kern.client.desk.cookies import csrf_token, form_secret, session_secret
from kern.client.web.problems import ProblemError

_MOST_FIELDS = 2_000


async def posted_form(request: Request) -> Posted:
    """Return a posted form of somebody who has signed in.

    Raises:
        ProblemError: it comes from another site, from a page of another session, or is no form.
    """
    return await _checked(request, session_secret(request))


async def visitor_form(request: Request) -> Posted:
    """Return a posted form of somebody who signs in. Raises as `posted_form`."""
    return await _checked(request, form_secret(request))


PostedForm = Annotated[Posted, Depends(posted_form)]
VisitorForm = Annotated[Posted, Depends(visitor_form)]


def text_in(posted: Posted, name: str) -> str:
    """Return what was posted under a name; an empty text if nothing was."""
    texts = posted.get(name, ())
    return texts[0] if texts else ""


async def _checked(request: Request, secret: str | None) -> Posted:
    _check_origin(request)
    posted = _parsed(await request.body())
    token = text_in(posted, "csrf")
    if secret is None or not hmac.compare_digest(token.encode(), csrf_token(secret).encode()):
        detail = (
            "The form belongs to a page that was loaded before you signed in, or by somebody else. "
            "Nothing was decided. Reload, review, and send it again."
        )
        raise ProblemError(403, "stale_form", detail)
    return posted


def _check_origin(request: Request) -> None:
    """Refuse what another site's page sends; browsers say where a form comes from.

    Under `Referrer-Policy: no-referrer` the `Origin` of a form is `null`
    (https://fetch.spec.whatwg.org/#append-a-request-origin-header), so `Sec-Fetch-Site` counts.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        is_ours = origin is None or urlsplit(origin).netloc == request.headers.get("Host")
    if not is_ours:
        detail = "The form was sent by a page of another site. Nothing was changed."
        raise ProblemError(403, "stale_form", detail)


def _parsed(body: bytes) -> Posted:
    try:
        return parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        detail = "The form cannot be read. Nothing was changed. Reload the page and send it again."
        raise ProblemError(400, "malformed", detail) from None
