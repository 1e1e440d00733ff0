"""The route of the feed: a page of it, or a stream of events."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from kern.client.api.documented import PROBLEMS
from kern.client.service.feed import FeedSelection
from kern.client.web.callers import Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.client.web.event_stream import MEDIA_TYPE, wants_events
from kern.client.web.feed_stream import event_stream
from kern.contracts.feed import FeedEntry
from kern.values.feed import FeedKind, event_of
from kern.values.states import Risk

router = APIRouter(tags=["feed"], route_class=ConditionalRoute, responses=PROBLEMS)
_STREAM = {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}


class FeedQuery(BaseModel):
    """Which part of the feed is asked for.

    Attributes:
        after: `next` of the page before; without one, a page begins with the oldest entry that is
            kept, and a stream with what happens from now on.
        kinds: Only entries of these kinds.
        scope: `me` for what the caller may decide.
        limit: How many entries a page has at most.
    """

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int | None, Field(ge=0, le=2**62)] = None
    kinds: list[FeedKind] | None = None
    scope: Annotated[Literal["me", "all"], Field(alias="for")] = "all"
    limit: Annotated[int, Field(ge=1, le=100)] = 25


class FeedResource(BaseModel):
    """Something that happened.

    Attributes:
        id: Its number in the feed.
        event: What a page hears of it: `opened`, `resolved` or `state`.
        subject: What the requirement is about, as its author declared.
        text: What happened, in a sentence.
    """

    id: str
    event: str
    kind: str
    requirement: str | None = None
    run: str
    component: str
    tool: str | None = None
    title: str | None = None
    risk: Risk | None = None
    subject: str | None = None
    verdict: str | None = None
    by: str | None = None
    text: str
    at: AwareDatetime

    @classmethod
    def of(cls, entry: FeedEntry) -> "FeedResource":
        """Return an entry as the API shows it."""
        shown: dict[str, JsonValue] = {
            name: entry.data.get(name) for name in ("tool", "title", "risk", "verdict", "by")
        }
        return cls.model_validate(
            {
                "id": str(entry.seq),
                "event": event_of(entry.kind),
                "kind": entry.kind,
                "requirement": entry.requirement_id,
                "run": entry.run_id,
                "component": entry.component_id,
                "subject": entry.subject,
                "text": entry.text,
                "at": entry.at,
                **shown,
            }
        )


class FeedPageResource(BaseModel):
    """A page of the feed.

    Attributes:
        items: The entries, in order.
        next: Pass it as `after`, now or later, for what follows. It may be further than the last
            item: what the caller may not see is left out.
        reset: Whether what was asked for is not kept any more, so that entries are missing before
            the first one.
    """

    items: list[FeedResource]
    next: str
    reset: bool = False


@router.get("/feed", response_model=FeedPageResource, responses={200: _STREAM})
async def read_feed(
    request: Request,
    service: ServiceOf,
    caller: Reader,
    query: Annotated[FeedQuery, Query()],
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> Response | FeedPageResource:
    """Read what happened: a page, or with `Accept: text/event-stream` events as they come."""
    principal = caller.principal if query.scope == "me" else None
    kinds = None if query.kinds is None else frozenset(kind.value for kind in query.kinds)
    if wants_events(request):
        start = None if query.after is None else str(query.after)
        selection = FeedSelection(caller.viewer, principal, kinds)
        return await event_stream(
            request, service, caller, selection, last_event_id=last_event_id or start
        )
    page = await service.feed.page(
        caller.viewer,
        principal,
        after=query.after,
        kinds=kinds,
        for_me=principal is not None,
        limit=query.limit,
    )
    items = [FeedResource.of(entry) for entry in page.items]
    return FeedPageResource(items=items, next=str(page.next), reset=page.reset)
