"""How lists of requirements and of decisions are narrowed, wherever they are asked for."""

from datetime import datetime
from typing import Literal, TypedDict

from kern.values.principals import Principal
from kern.values.states import InboxOrder, RequirementKind, Risk, Verdict


class RequirementFilters(TypedDict, total=False):
    """Narrows requirements, open or closed.

    Attributes:
        user_id: Only those in sessions of this user.
        run_id: Only those of this run and its child runs; the end of its id is enough.
        session_id: Only those of this session.
        kind: Only those of this kind.
        tool: Only those about this tool or step.
        component: Only those that runs of this component ask.
        risk: Only those of this risk.
        shape: Only look-alikes: those of this `Requirement.shape`.
    """

    user_id: str | None
    run_id: str | None
    session_id: str | None
    kind: RequirementKind | None
    tool: str | None
    component: str | None
    risk: Risk | None
    shape: str | None


class PendingFilters(RequirementFilters, total=False):
    """Narrows and orders what waits.

    Attributes:
        for_principal: Only those that wait for this principal: as a candidate, by name, group or as
            the requester, because somebody handed it to them, or because anybody may decide. Not
            those that exclude it, that it has handed on or put off. For who is no person nothing
            waits.
        due_before: Only those with a deadline before this moment.
        sort: `due` has the next deadline first, and what has none last; `risk` the riskiest; the
            default is `created`, the oldest first. A cursor is that of a page in the same order.
    """

    for_principal: Principal | None
    due_before: datetime | None
    sort: InboxOrder | Literal["created", "due", "risk"]


class DecisionFilters(TypedDict, total=False):
    """Narrows the log of decisions.

    Attributes:
        by: Only those of this person: the subject that authenticated, or the name as typed.
        tool: Only those about this tool or step.
        verdict: Only those with this verdict.
        since: Only those of this moment and later.
        until: Only those before this moment.
    """

    by: str | None
    tool: str | None
    verdict: Verdict | None
    since: datetime | None
    until: datetime | None
