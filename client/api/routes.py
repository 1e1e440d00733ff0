"""All routes of the API, under `/v1`."""

from fastapi import APIRouter, Depends

from kern.client.api import (
    absences,
    audit,
    batches,
    decision_log,
    feed,
    people,
    requirements,
    run_events,
    run_starts,
    runs,
    sessions,
    stuck,
    subscriptions,
    triage,
)
from kern.client.api.refusals import refuse_repetitions

router = APIRouter(prefix="/v1", dependencies=[Depends(refuse_repetitions)])
for part in (
    *(requirements, triage, batches, runs, run_starts, run_events, sessions),
    *(decision_log, stuck, feed, audit, people, absences, subscriptions),
):
    router.include_router(part.router)
