"""Which decisions `kern inbox` is about, and in which order."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from kern.client.cli.identifiers import run_named
from kern.client.service.operations import OperatorService
from kern.contracts.reports import RequirementPage
from kern.contracts.viewer import Viewer
from kern.errors import InvalidInput
from kern.values.names import person_name
from kern.values.principals import Principal, principal_of
from kern.values.states import InboxOrder, RequirementKind, Risk
from kern.values.visible_text import plain

_LENGTH = re.compile(r"([0-9]{1,6})\s*(min|[smhd])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


@dataclass(frozen=True)
class InboxQuery:
    """What is listed; None narrows nothing.

    Attributes:
        person: For whom it waits; None for anybody.
        due_within: How soon it is due, from the moment at which it is listed.
        sort: What comes first.
    """

    person: str | None = None
    user: str | None = None
    run: str | None = None
    kind: RequirementKind | None = None
    tool: str | None = None
    component: str | None = None
    risk: Risk | None = None
    due_within: timedelta | None = None
    sort: InboxOrder = InboxOrder.due

    @property
    def scope(self) -> str:
        """Whose decisions they are, in words."""
        return "all" if self.person is None else f"for {plain(self.person)}"

    async def page(
        self,
        service: OperatorService,
        viewer: Viewer,
        now: datetime,
        *,
        limit: int,
        cursor: str | None = None,
        sort: InboxOrder | None = None,
    ) -> RequirementPage:
        """List a page of them. Raises as `Inbox.pending`."""
        return await service.inbox.pending(
            viewer,
            limit=limit,
            cursor=cursor,
            user_id=self.user,
            run_id=None if self.run is None else await run_named(service, self.run),
            kind=self.kind,
            for_principal=self._principal(viewer),
            tool=self.tool,
            component=self.component,
            risk=self.risk,
            due_before=None if self.due_within is None else now + self.due_within,
            sort=sort or self.sort,
        )

    def _principal(self, viewer: Viewer) -> Principal | None:
        if self.person is None:
            return None
        return principal_of(person_name("--for", self.person), viewer.accepting_tenant)


def length_of(text: str) -> timedelta:
    """Read a length of time, such as `4h`, `30min` or `2d`.

    Raises:
        InvalidInput: it is none.
    """
    match = _LENGTH.fullmatch(text.strip().lower())
    if match is None:
        message = f"--due is {text!r}: give a length of time such as 30min, 4h or 2d."
        raise InvalidInput(message)
    return int(match[1]) * _UNITS[match[2]]
