"""All routes of the API, under `/v1`."""

from fastapi import APIRouter

from kern.client.api import audit, feed, people, requirements, runs, sessions, subscriptions

router = APIRouter(prefix="/v1")
for part in (requirements, runs, sessions, feed, audit, people, subscriptions):
    router.include_router(part.router)
