"""People as the API shows them: who has signed in, and who is away."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from kern.contracts.caller import Caller
from kern.contracts.triage import Absence
from kern.contracts.web_sessions import WebSession
from kern.values.principals import Principal
from kern.values.roles import Role


class WebSessionResource(BaseModel):
    """Somebody who has signed in to the console with a browser.

    Attributes:
        method: How they signed in: `oidc`, `token` or `link`.
        used_at: When the session was last used, to the minute.
    """

    principal: Principal
    roles: list[Role]
    method: str
    created_at: datetime
    used_at: datetime

    @classmethod
    def of(cls, session: WebSession) -> Self:
        """Return a session as the API shows it."""
        caller = session.caller
        return cls(
            principal=caller.principal,
            roles=list(caller.roles),
            method=caller.method,
            created_at=session.created_at,
            used_at=session.used_at,
        )

    def session(self) -> WebSession:
        """Return the session that is shown."""
        caller = Caller(self.principal, tuple(self.roles), self.method)
        return WebSession(caller, self.created_at, self.used_at)


class EndedSessions(BaseModel):
    """How many sessions of somebody were ended."""

    subject: str
    ended: int


class AbsenceResource(BaseModel):
    """Somebody who is away, as they said themselves.

    Attributes:
        since: From when on.
        until: Until when; it is over by itself.
        note: What they say about it; people read it, models do not.
    """

    by: Principal
    since: datetime
    until: datetime
    note: str | None

    @classmethod
    def of(cls, absence: Absence) -> Self:
        """Return an absence as the API shows it."""
        return cls(by=absence.by, since=absence.since, until=absence.until, note=absence.note)

    def absence(self) -> Absence:
        """Return the absence that is shown."""
        return Absence(by=self.by, since=self.since, until=self.until, note=self.note)


class EndedAbsence(BaseModel):
    """Whether there was an absence to end."""

    ended: bool
