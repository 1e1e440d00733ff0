"""The routes of the decision log: the list, its verification, its export."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from kern.client.api.audit import export_answer
from kern.client.console import pages
from kern.client.console.addresses import AUDIT, with_query
from kern.client.console.audit import LogEntry, Verification, audit_view
from kern.client.console.inbox import Select
from kern.client.console.problems import Problem, problem_of
from kern.client.console.states import verdict_word
from kern.client.desk.forms import PostedForm, text_in
from kern.client.desk.visitors import Auditor, Visitor
from kern.errors import AuditBroken, KernError
from kern.values.states import Verdict

router = APIRouter(prefix="/audit")
_ROWS = 25


class Days(BaseModel):
    """The days (UTC) whose decisions are listed or exported. What is empty narrows nothing."""

    model_config = ConfigDict(extra="ignore")

    since: Annotated[date | Literal[""], Field(alias="from")] = ""
    until: Annotated[date | Literal[""], Field(alias="to")] = ""


class LogQuery(Days):
    """Which decisions are listed. What is empty narrows nothing.

    Attributes:
        q: A person: the name or the id.
        since: The first day (UTC).
        until: The last day.
        before: The last decision of the page before.
    """

    q: Annotated[str, Field(max_length=240)] = ""
    tool: Annotated[str, Field(max_length=240)] = ""
    verdict: Verdict | Literal[""] = ""
    before: Annotated[str, Field(max_length=240)] = ""

    def url(self, **changes: str) -> str:
        """Return the address of this list with something else."""
        values = self.model_dump(mode="json", by_alias=True) | changes
        return with_query(AUDIT, **values)


@router.get("")
async def audit_page(visitor: Auditor, query: Annotated[LogQuery, Query()]) -> Response:
    """Show the decisions, the latest first."""
    return await _page(visitor, query)


@router.post("/verify")
async def verify(visitor: Auditor, posted: PostedForm) -> Response:
    """Verify the log, and say what was found."""
    head = text_in(posted, "head").replace(" ", "")
    start = time.monotonic()
    try:
        report = await visitor.service.audit.verify(visitor.viewer, head=head or None)
        verification = Verification(report, visitor.now, seconds=time.monotonic() - start)
    except AuditBroken as error:
        verification = Verification(None, visitor.now, str(error))
    except KernError as error:
        return await _page(visitor, LogQuery(), refusal=problem_of(error), head=head)
    return await _page(visitor, LogQuery(), verification, head=head)


@router.get("/export")
async def export(visitor: Auditor, span: Annotated[Days, Query()]) -> Response:
    """Download the log as lines of JSON, which a script verifies without Kern."""
    since, until = _start(span.since), _start(span.until, days=1)
    lines = visitor.service.audit.export(visitor.viewer, since=since, until=until)
    name = f"kern-decisions-{visitor.now:%Y-%m-%d}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return await export_answer(lines, headers)


async def _page(
    visitor: Visitor,
    query: LogQuery,
    verification: Verification | None = None,
    *,
    refusal: Problem | None = None,
    head: str = "",
) -> Response:
    page = await visitor.service.audit.decisions(
        visitor.viewer,
        limit=_ROWS,
        cursor=query.before or None,
        by=query.q or None,
        tool=query.tool or None,
        verdict=query.verdict or None,
        since=_start(query.since),
        until=_start(query.until, days=1),
    )
    more = page.next_cursor
    view = audit_view(
        [LogEntry(item, item.tool or "") for item in page.decisions],
        verification,
        selects=[_verdicts(query)],
        filters={"q": query.q, "from": str(query.since), "to": str(query.until), "head": head},
        older_url=None if more is None else query.url(before=more),
        problem=refusal,
    )
    text = pages.audit_page(await visitor.frame(), view)
    return HTMLResponse(text, 200 if refusal is None else refusal.status)


def _verdicts(query: LogQuery) -> Select:
    options = [("", "Any verdict")] + [(item.value, verdict_word(item)) for item in Verdict]
    return Select("verdict", "Verdict", options, query.verdict)


def _start(day: date | Literal[""], days: int = 0) -> datetime | None:
    if not day:
        return None
    try:
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days)
    except OverflowError:
        # The last day of all: nothing is later.
        return None
