"""The live feed of the console's pages: what happens, while they are open."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from kern.client.desk.visitors import Reader
from kern.client.service.feed import FeedSelection
from kern.client.web.feed_stream import event_stream
from kern.contracts.caller import Caller

router = APIRouter()


@router.get("/feed")
async def feed(
    request: Request,
    visitor: Reader,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> Response:
    """Send what happens for as long as the page is open."""

    async def counts(caller: Caller) -> Mapping[str, int]:
        if visitor.role_hindrance is not None:
            return {"inbox": 0, "stuck": await visitor.stuck.of(caller.viewer)}
        waiting = await visitor.service.feed.count_for_me(caller.viewer, caller.principal)
        return {"inbox": waiting, "stuck": await visitor.stuck.of(caller.viewer)}

    return await event_stream(
        request,
        visitor.service,
        visitor.caller,
        FeedSelection(visitor.viewer),
        last_event_id=last_event_id,
        counts=counts,
    )
