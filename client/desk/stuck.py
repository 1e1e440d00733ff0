"""The route of what should be progressing and is not."""

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from kern.client.console import pages
from kern.client.console.stuck import stuck_view
from kern.client.desk.visitors import Reader
from kern.values.roles import Right

router = APIRouter()


@router.get("/stuck")
async def stuck_page(visitor: Reader) -> Response:
    """Show what is stuck, and the workers."""
    report = await visitor.service.stuck.read(visitor.viewer)
    view = stuck_view(report, has_deliveries=visitor.may(Right.administer))
    return HTMLResponse(pages.stuck_page(await visitor.frame(stuck_count=view.count), view))
