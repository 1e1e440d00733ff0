"""All routes of the API, under `/v1`."""

from fastapi import APIRouter

from kern.client.api import (
    audit,
    decision_log,
    people,
    requirements,
    run_events,
    run_starts,
    runs,
    sessions,
    stuck,
)

router = APIRouter(prefix="/v1")
for part in (
    requirements,
    runs,
    run_starts,
    run_events,
    sessions,
    decision_log,
    stuck,
    audit,
    people,
):
    router.include_router(part.router)
