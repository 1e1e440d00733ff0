"""The routes of sessions: list, read, rename, delete."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Id, Page, PageQuery
from kern.client.api.parameters import Search
from kern.client.api.session_resources import SessionReportResource, SessionResource
from kern.client.web.callers import Administrator, Operator, Reader, ServiceOf
from kern.client.web.conditional import ConditionalRoute
from kern.contracts.reports import LONGEST_PAGE, Deletion
from kern.run import Message

SessionId = Annotated[
    str, Path(min_length=1, max_length=240, description="The session's id, or the end of it.")
]
MessageLimit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
RunLimit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many runs at most.")]
router = APIRouter(
    prefix="/sessions", tags=["sessions"], route_class=ConditionalRoute, responses=PROBLEMS
)


class NewName(BaseModel):
    """The name that a session is given."""

    model_config = ConfigDict(extra="forbid")

    name: StrictStr


class MessageResource(BaseModel):
    """A message of a conversation."""

    role: str
    content: str | None

    @classmethod
    def of(cls, item: Message) -> "MessageResource":
        """Return a message as the API shows it."""
        return cls(role=item.role, content=item.content)


class SessionFilters(PageQuery):
    """Which sessions are listed.

    Attributes:
        q: Only those with this text in the name, the user, the component or the id, among the
            latest 10,000.
    """

    user: Id | None = None
    component: Id | None = None
    q: Search | None = None


@router.get("")
async def list_sessions(
    service: ServiceOf,
    caller: Reader,
    filters: Annotated[SessionFilters, Query()],
) -> Page[SessionResource]:
    """List sessions, the latest first."""
    viewer = caller.viewer
    if filters.component is not None:
        viewer = replace(viewer, component_id=filters.component)
    page = await service.sessions.page(
        viewer, filters.limit, filters.after, filters.user, search=filters.q
    )
    items = [SessionResource.of(item) for item in page.sessions]
    return Page(items=items, next=page.next_cursor)


@router.get("/{session_id}")
async def read_session(
    service: ServiceOf, caller: Reader, session_id: SessionId
) -> SessionResource:
    """Read a session."""
    full = await service.sessions.full_id(caller.viewer, session_id)
    return SessionResource.of(await service.sessions.read(caller.viewer, full))


@router.get("/{session_id}/report")
async def read_report(
    service: ServiceOf, caller: Reader, session_id: SessionId, runs: RunLimit = 25
) -> SessionReportResource:
    """Read a session with what it used, and its latest runs."""
    full = await service.sessions.full_id(caller.viewer, session_id)
    return SessionReportResource.of(await service.sessions.report(caller.viewer, full, runs))


@router.get("/{session_id}/messages")
async def list_messages(
    service: ServiceOf, caller: Reader, session_id: SessionId, limit: MessageLimit = 25
) -> Page[MessageResource]:
    """List the latest messages of a session, in order."""
    full = await service.sessions.full_id(caller.viewer, session_id)
    messages = await service.sessions.messages(caller.viewer, full, limit)
    return Page(items=[MessageResource.of(item) for item in messages])


@router.patch("/{session_id}")
async def rename_session(
    service: ServiceOf, caller: Operator, session_id: SessionId, body: NewName
) -> SessionResource:
    """Give a session a name."""
    full = await service.sessions.full_id(caller.viewer, session_id)
    return SessionResource.of(await service.sessions.rename(caller.viewer, full, body.name))


@router.delete("/{session_id}")
async def delete_session(
    service: ServiceOf, caller: Administrator, session_id: SessionId
) -> Deletion:
    """Delete a session with its runs, messages and state; its decisions stay in the log."""
    full = await service.sessions.full_id(caller.viewer, session_id)
    return await service.sessions.delete(caller.viewer, full)
