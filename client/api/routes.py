"""All routes of the API, under `/v1`."""

from fastapi import APIRouter

from kern.client.api import audit, batches, people, requirements, runs, sessions, triage

router = APIRouter(prefix="/v1")
for part in (requirements, triage, batches, runs, sessions, audit, people):
    router.include_router(part.router)
