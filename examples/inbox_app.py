"""An inbox in a web application: `fastapi dev examples/inbox_app.py`, beside a Kern worker."""

from html import escape
from typing import Annotated, Literal

from fastapi import FastAPI, Form, Header, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from kern import inbox
from kern.errors import KernError
from kern.requirements import Requirement

app = FastAPI(title="Inbox")
# Who decides comes from your sign-on; here a proxy in front of the application has checked it.
User = Annotated[str, Header(alias="X-User")]


def card(item: Requirement) -> str:
    arguments = ", ".join(f"{key}={value!r}" for key, value in item.arguments.items())
    call = f"{item.tool_name}({arguments})"
    return f"""<form method="post" action="/requirements/{item.id}"><p>{escape(call)}</p>
      <input type="hidden" name="digest" value="{item.digest}">
      <input name="note" placeholder="Why"> <button name="verdict" value="approve">Approve</button>
      <button name="verdict" value="reject">Reject</button></form>"""


@app.exception_handler(KernError)
async def show_error(_request: Request, error: KernError) -> PlainTextResponse:
    return PlainTextResponse(str(error), error.http_status)


@app.get("/")
async def show_inbox(cursor: str | None = None) -> HTMLResponse:
    page = await inbox.apending(kind="confirmation", limit=20, cursor=cursor)
    more = f'<a href="/?cursor={page.next_cursor}">More</a>' if page.next_cursor else ""
    cards = "".join(card(item) for item in page.requirements)
    return HTMLResponse(f"<h1>Inbox</h1>{cards or 'Nothing waits.'}{more}")


@app.post("/requirements/{requirement_id}")
async def decide(
    requirement_id: str,
    verdict: Annotated[Literal["approve", "reject"], Form()],
    digest: Annotated[str, Form()],
    user: User,
    note: Annotated[str, Form()] = "",
) -> RedirectResponse:
    item = await inbox.aget(requirement_id)
    item = item.confirm(note or None) if verdict == "approve" else item.reject(note or None)
    await inbox.adecide(item, by=user, digest=digest)
    return RedirectResponse("/", status_code=303)
