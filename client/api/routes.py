"""All routes of the API, under `/v1`."""

from fastapi import APIRouter

from kern.client.api import (
    audit,
    decision_log,
    feed,
    people,
    requirements,
    run_events,
    runs,
    sessions,
    stuck,
)

router = APIRouter(prefix="/v1")
for part in (requirements, runs, run_events, sessions, decision_log, stuck, feed, audit, people):
    router.include_router(part.router)
