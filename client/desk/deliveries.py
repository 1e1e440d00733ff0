"""The routes of webhooks and channels: the list, the latest deliveries, and sending again."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from kern.client.console import pages
from kern.client.console.addresses import DELIVERIES, with_query
from kern.client.console.deliveries import deliveries_view
from kern.client.console.inbox import Tab
from kern.client.desk.forms import PostedForm
from kern.client.desk.visitors import Administrator
from kern.contracts.subscriptions import DeliveryStatus, SubscriptionSort

router = APIRouter(prefix="/deliveries")

_MOST = 50


@router.get("")
async def deliveries_page(
    visitor: Administrator,
    status: DeliveryStatus | Literal[""] = "",
    subscription: Annotated[str, Query(max_length=240)] = "",
) -> Response:
    """Show webhooks and channels, and the latest deliveries."""
    subscriptions, viewer = visitor.service.subscriptions, visitor.viewer
    items = [
        item for sort in SubscriptionSort for item in await subscriptions.read_all(viewer, sort)
    ]
    deliveries = await subscriptions.deliveries(
        viewer, subscription or None, limit=_MOST, status=status or None
    )
    tabs = [
        Tab(
            label,
            with_query(DELIVERIES, status=value, subscription=subscription),
            is_current=value == status,
        )
        for value, label in (
            ("", "All"),
            *((item.value, item.value.capitalize()) for item in DeliveryStatus),
        )
    ]
    view = deliveries_view(items, deliveries, tabs=tabs, current=subscription)
    return HTMLResponse(pages.deliveries_page(await visitor.frame(), view))


@router.post("/{delivery_id}/replay")
async def replay(
    visitor: Administrator,
    delivery_id: Annotated[str, Path(min_length=1, max_length=240)],
    posted: PostedForm,
) -> Response:
    """Send a delivery again."""
    del posted
    await visitor.service.subscriptions.replay(visitor.viewer, delivery_id)
    return RedirectResponse(DELIVERIES, 303)
