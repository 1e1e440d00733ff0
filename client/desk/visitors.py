"""Who looks at a page of the console: whose session the cookie belongs to, and what waits."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from kern.client.console.frame import Frame, Person, theme_of
from kern.client.desk.cookies import THEME, csrf_token, session_secret
from kern.client.desk.stuck_counts import StuckCounts
from kern.client.service.service import Service
from kern.client.web.callers import ServiceOf
from kern.contracts.caller import Caller
from kern.contracts.viewer import Viewer
from kern.contracts.web_sessions import WebSession
from kern.errors import Unauthenticated
from kern.process.clock import utc_now
from kern.values.principals import Principal
from kern.values.roles import Right

_METHODS = {"link": "one-time link", "token": "personal token", "oidc": "single sign-on"}
LOCAL_METHOD = "link"


@dataclass(frozen=True)
class Visitor:
    """Somebody who has signed in, in one request.

    Attributes:
        service: What they ask.
        secret: That of their session.
        is_fragment: Whether htmx asks, for a part of a page.
        stuck: Counts what is stuck.
    """

    service: Service
    session: WebSession
    secret: str
    theme: str | None
    is_fragment: bool
    now: datetime
    stuck: StuckCounts

    @property
    def caller(self) -> Caller:
        """Who they are, and what they may do."""
        return self.session.caller

    @property
    def viewer(self) -> Viewer:
        """As whom they read and decide."""
        return self.caller.viewer

    @property
    def principal(self) -> Principal:
        """Who they are."""
        return self.caller.principal

    @property
    def name(self) -> str:
        """The name under which they decide."""
        return self.principal.name

    @property
    def csrf(self) -> str:
        """The token of their forms."""
        return csrf_token(self.secret)

    def may(self, right: Right) -> bool:
        """Whether they have a right."""
        return right in self.caller.rights

    @property
    def role_hindrance(self) -> str | None:
        """Why they may decide nothing at all; None if their role lets them."""
        if self.may(Right.operate):
            return None
        return f"{self.name} has no role that decides: they may look."

    async def frame(
        self, *, inbox_count: int | None = None, stuck_count: int | None = None
    ) -> Frame:
        """Return what every page shows around its content; what was counted already is passed.

        A fragment shows nothing around it, so nothing is counted for it.
        """
        if inbox_count is None and self.role_hindrance is not None:
            inbox_count = 0
        if inbox_count is None and not self.is_fragment:
            inbox_count = await self.service.inbox.count_for_me(self.viewer, self.principal)
        if stuck_count is None and not self.is_fragment:
            stuck_count = await self.stuck.of(self.viewer)
        principal, method = self.principal, self.caller.method
        return Frame(
            now=self.now,
            person=Person(
                name=principal.name,
                subject=principal.subject,
                groups=principal.groups,
                tenant=principal.tenant,
                method=_METHODS.get(method, method),
                since=self.session.created_at,
            ),
            csrf=self.csrf,
            theme=theme_of(self.theme),
            inbox_count=inbox_count,
            stuck_count=stuck_count,
            is_local=method == LOCAL_METHOD,
            is_fragment=self.is_fragment,
        )


async def visitor_of(request: Request, service: ServiceOf) -> Visitor:
    """Return who looks.

    Raises:
        Unauthenticated: nobody has signed in, or the session is over.
    """
    secret = session_secret(request)
    if secret is None:
        message = "Nobody has signed in."
        raise Unauthenticated(message)
    session = await service.access.session_of(secret)
    now = utc_now()
    caller = session.caller.at(now, request.app.state.fresh_seconds)
    return Visitor(
        service=service,
        session=replace(session, caller=caller),
        secret=secret,
        theme=request.cookies.get(THEME),
        is_fragment=is_fragment(request),
        now=now,
        stuck=request.app.state.stuck,
    )


def is_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request-Type") == "partial"


def _with(right: Right) -> object:
    async def visitor(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
        visitor.caller.require(right)
        return visitor

    return Depends(visitor)


Reader = Annotated[Visitor, _with(Right.read)]
Operator = Annotated[Visitor, _with(Right.operate)]
Auditor = Annotated[Visitor, _with(Right.audit)]
Administrator = Annotated[Visitor, _with(Right.administer)]
