"""The routes of what does not progress, and of the workers."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from kern.client.api.documented import PROBLEMS
from kern.client.web.callers import Reader, ServiceOf
from kern.contracts.stuck import StuckReport, WorkerStatus
from kern.process.clock import utc_now

router = APIRouter(tags=["operation"], responses=PROBLEMS)


class WorkerList(BaseModel):
    """The processes that execute runs.

    Attributes:
        checked_at: When they were read.
        items: Those that were lost are among them, and not present.
    """

    checked_at: datetime
    items: list[WorkerStatus]


@router.get("/stuck")
async def read_stuck(service: ServiceOf, caller: Reader) -> StuckReport:
    """Read what should be progressing and is not: what, since when, and why."""
    return await service.stuck.read(caller.viewer)


@router.get("/workers")
async def list_workers(service: ServiceOf, caller: Reader) -> WorkerList:
    """List the processes that execute runs, and when they were seen last."""
    del caller
    now = utc_now()
    return WorkerList(checked_at=now, items=await service.stuck.workers(now))
