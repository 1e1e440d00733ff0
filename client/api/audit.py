"""The routes of the log of decisions: verify and export."""

from collections.abc import AsyncGenerator, Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.resources import Verification
from kern.client.web.callers import Auditor, ServiceOf
from kern.errors import AuditBroken

router = APIRouter(prefix="/audit", tags=["audit"], responses=PROBLEMS)


class VerificationBody(BaseModel):
    """What is verified: the caller's part of the log, with a head that was noted; or a run's."""

    model_config = ConfigDict(extra="forbid")

    head: StrictStr | None = None
    run: StrictStr | None = None


@router.post("/verifications")
async def verify(service: ServiceOf, caller: Auditor, body: VerificationBody) -> Verification:
    """Verify that no decision was changed, removed, added or reordered."""
    try:
        report = await service.audit.verify(caller.viewer, body.run, body.head)
    except AuditBroken as error:
        return Verification(intact=False, broken=str(error))
    return Verification(intact=True, report=report)


@router.get("/export", response_class=StreamingResponse)
async def export(
    service: ServiceOf,
    caller: Auditor,
    run: Annotated[str | None, Query(min_length=1, max_length=240)] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    *,
    text: Annotated[bool, Query(description="Also notes, edits and values.")] = False,
) -> StreamingResponse:
    """Export the caller's part of the log, which `examples/verify_audit.py` verifies without Kern.

    With `from` and `to`, it is that of the runs with a decision in this time: the whole chain of
    each, since its seals cover it from its beginning.
    """
    lines = service.audit.export(caller.viewer, run, since=since, until=until, with_text=text)
    return await export_answer(lines)


async def export_answer(
    lines: AsyncGenerator[str], headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """Return the answer that sends the lines of the log.

    Raises:
        KernError: it is refused.
    """
    # The first line is read before the answer begins: a refusal is a problem, not a cut file.
    first = await anext(lines)

    async def every_line() -> AsyncGenerator[str]:
        yield f"{first}\n"
        async for line in lines:
            yield f"{line}\n"

    return StreamingResponse(every_line(), media_type="application/jsonl", headers=headers)
