"""The database contract: what waits for whom, in pages that cost the same however much waits."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from kern.contracts.presentation import Presentation
from kern.contracts.reports import InboxCounts
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import deciding
from kern.db.reading import inbox_pages
from kern.db.reading.inbox_filters import InboxFilter
from kern.db.runs import lifecycle
from kern.db.sessions import deletions
from kern.errors import NotFound
from kern.requirements import Principal, PrincipalKind, Requirement
from kern.tools import Approval, Escalation, Requester
from kern.values.states import InboxOrder, RequirementKind, Risk, Verdict
from tests.support.statements import statements
from tests.support.stored_runs import NAMES, Stored, after, opened, question

ISSUER = "https://id.example.org"
HOUR = timedelta(hours=1)


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


def person(name: str, *groups: str, subject: str | None = None, tenant: str = "") -> Principal:
    return Principal(
        issuer=ISSUER,
        subject=subject or f"id-{name.strip()}",
        name=name,
        groups=groups,
        tenant=tenant,
    )


def mine(
    stored: Stored,
    principal: Principal | None,
    viewer: Viewer = OPERATOR,
    order: InboxOrder = InboxOrder.created,
    only: InboxFilter | None = None,
) -> list[str]:
    """Return the ids of what waits for somebody, read in pages of two."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = stored.look(
            partial(
                inbox_pages.list_inbox,
                viewer=viewer,
                limit=2,
                principal=principal,
                after=cursor,
                order=order,
                only=only,
            )
        )
        ids += [item.id for item in page.requirements]
        cursor = page.next_cursor
        if cursor is None:
            return ids


@pytest.mark.parametrize(
    ("approval", "principal", "is_for_them"),
    [
        (Approval(), person("dana"), True),
        (Approval(candidates="dana"), person("Dana "), True),
        (Approval(candidates="dana"), person("eli"), False),
        (Approval(candidates="d-7"), person("Dana Whitfield", subject="d-7"), True),
        (Approval(candidates="group:finance"), person("dana", "Finance"), True),
        (Approval(candidates="group:finance"), person("finance"), False),
        (Approval(candidates=("eli", "group:finance")), person("eli", "finance"), True),
        # `ann` has asked for the run.
        (Approval(candidates=Requester), person("ann"), True),
        (Approval(candidates=Requester), person("dana"), False),
        (Approval(excluded="dana"), person("DANA"), False),
        (Approval(excluded="dana"), person("eli"), True),
        (Approval(excluded="group:interns"), person("dana", "interns"), False),
        (Approval(candidates="dana", excluded="group:interns"), person("dana", "interns"), False),
        (Approval(excluded=Requester), person("ann"), False),
        (Approval(excluded=Requester), person("dana"), True),
        (Approval(candidates=("ann", "dana"), excluded=Requester), person("ann"), False),
    ],
)
def test_what_waits_for_a_person_is_what_they_may_decide(
    stored: Stored, approval: Approval, principal: Principal, *, is_for_them: bool
) -> None:
    seen = stored.gated(approval=approval)
    assert mine(stored, principal) == ([seen.id] if is_for_them else [])
    assert mine(stored, None) == [seen.id]


def test_where_nobody_knows_who_asked_the_requester_is_nobody(stored: Stored) -> None:
    call = stored.call(question(approval=Approval(candidates=(Requester, "dana"))))
    seen = stored.requirement(call)
    assert mine(stored, person("dana")) == [seen.id]
    assert mine(stored, person("ann")) == []


def test_nothing_waits_for_who_is_no_person(stored: Stored) -> None:
    stored.gated()
    agent = person("bot").model_copy(update={"kind": PrincipalKind.agent})
    assert mine(stored, agent) == []
    counts = stored.look(lambda tx: inbox_pages.count_inbox(tx, OPERATOR, agent))
    assert counts == InboxCounts(for_me=0, all=1)
    assert stored.look(lambda tx: inbox_pages.count_for_me(tx, OPERATOR, agent)) == 0


def test_who_is_asked_by_an_escalation_finds_it_from_then_on(stored: Stored) -> None:
    rule = Approval(candidates="dana", escalate=Escalation(after=HOUR, to="group:leads"))
    seen, lead = stored.gated(approval=rule), person("eli", "leads")
    assert mine(stored, lead) == []
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(3_601)))
    assert mine(stored, lead) == [seen.id]
    assert mine(stored, person("dana")) == [seen.id]


def resolved(stored: Stored, seen: Requirement) -> None:
    stored.resolve(seen, by="dana")


def expired(stored: Stored, seen: Requirement) -> None:
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(7_200)))


def cancelled(stored: Stored, seen: Requirement) -> None:
    stored.do(lambda tx: lifecycle.cancel(tx, seen.run_id, OPERATOR, after(1)))


def deleted(stored: Stored, seen: Requirement) -> None:
    cancelled(stored, seen)
    stored.do(lambda tx: deletions.delete(tx, seen.session_id, OPERATOR, after(2)))


@pytest.mark.parametrize("close", [resolved, expired, cancelled, deleted])
def test_what_is_closed_waits_for_nobody(
    stored: Stored, close: Callable[[Stored, Requirement], None]
) -> None:
    rule = Approval(candidates="dana", due=HOUR)
    seen, other = stored.gated(approval=rule), stored.gated(approval=rule)
    close(stored, seen)
    assert mine(stored, person("dana")) == [other.id]


def test_what_is_open_again_waits_again(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates="dana"))
    stored.resolve(seen, by="dana")
    assert mine(stored, person("dana")) == []
    stored.resolve(seen, Verdict.withdraw, by="dana")
    assert mine(stored, person("dana")) == [seen.id]


def waiting(stored: Stored, risk: Risk, hours: int | None) -> str:
    due = None if hours is None else timedelta(hours=hours)
    rule = Approval(candidates=("dana", "group:finance"), due=due)
    return stored.gated(approval=rule, presentation=Presentation(risk=risk)).id


@pytest.mark.parametrize("principal", [None, person("dana", "finance"), person("eli", "finance")])
def test_each_order_has_a_cursor_that_what_is_decided_does_not_move(
    stored: Stored, principal: Principal | None
) -> None:
    low, late, soon, high, never = (
        waiting(stored, Risk.low, 3),
        waiting(stored, Risk.normal, 4),
        waiting(stored, Risk.normal, 1),
        waiting(stored, Risk.high, 2),
        waiting(stored, Risk.high, None),
    )
    expected = {
        InboxOrder.created: [low, late, soon, high, never],
        InboxOrder.due: [soon, high, low, late, never],
        InboxOrder.risk: [high, never, late, soon, low],
    }
    for order, ids in expected.items():
        assert mine(stored, principal, order=order) == ids
    read = partial(inbox_pages.list_inbox, viewer=OPERATOR, limit=2, principal=principal)
    first = stored.look(partial(read, order=InboxOrder.due))
    for item in first.requirements:
        stored.resolve(item, by="dana")
    rest = stored.look(partial(read, order=InboxOrder.due, after=first.next_cursor))
    assert [item.id for item in rest.requirements] == [low, late]


def test_filters_narrow_what_waits(stored: Stored) -> None:
    risky = stored.gated(
        approval=Approval(candidates="dana", due=HOUR), presentation=Presentation(risk=Risk.high)
    )
    plain = stored.gated(approval=Approval(candidates="dana"))
    other = stored.requirement(
        stored.call(question(RequirementKind.external_execution), component_id="other")
    )
    dana = person("dana")
    for only, ids in (
        (InboxFilter(risk=Risk.high), [risky.id]),
        (InboxFilter(shape=plain.shape), [risky.id, plain.id]),
        (InboxFilter(component_id="other"), [other.id]),
        (InboxFilter(due_before=after(3_601)), [risky.id]),
        (InboxFilter(due_before=after(3_600)), []),
        (InboxFilter(tool="refund", kind=RequirementKind.confirmation), [risky.id, plain.id]),
        (InboxFilter(tool="send"), []),
        (InboxFilter(run_id=plain.run_id), [plain.id]),
        (InboxFilter(user_id="ann"), [risky.id, plain.id]),
    ):
        assert mine(stored, dana, only=only) == ids
        assert mine(stored, None, only=only) == ids


def test_another_tenant_is_not_there(stored: Stored) -> None:
    call = stored.call(question(), tenant="north")
    seen = stored.requirement(call)
    north = Viewer(is_operator=True, tenant="north")
    everywhere = Viewer(is_operator=True, tenant=None)
    assert mine(stored, person("dana", tenant="north"), north) == [seen.id]
    assert mine(stored, person("dana"), everywhere) == []
    assert mine(stored, person("dana", tenant="north"), Viewer(is_operator=True)) == []
    read = partial(inbox_pages.list_inbox, viewer=Viewer(is_operator=True), limit=1, after=seen.id)
    with pytest.raises(NotFound):
        stored.look(read)


def test_counts_end_at_a_cap(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Approval(candidates=("dana", "group:finance"))
    for _ in range(3):
        stored.gated(approval=both)
    stored.gated(approval=Approval(candidates="eli"))
    dana = person("dana", "finance")
    count = partial(inbox_pages.count_inbox, viewer=OPERATOR, principal=dana)
    count_for_me = partial(inbox_pages.count_for_me, viewer=OPERATOR, principal=dana)
    assert stored.look(count) == InboxCounts(for_me=3, all=4)
    assert stored.look(count_for_me) == 3
    monkeypatch.setattr(inbox_pages, "MOST_COUNTED", 2)
    assert stored.look(count) == InboxCounts(for_me=2, all=2)
    assert stored.look(count_for_me) == 2


def test_a_page_takes_the_same_statements_however_much_waits(stored: Stored) -> None:
    counts = set()
    groups = [f"g{number}" for number in range(20)]
    for _ in range(2):
        for _ in range(10):
            stored.gated(approval=Approval(candidates=("dana", "group:g1"), quorum=2))
        for size in (0, 20):
            dana = person("dana", *groups[:size])
            for limit in (1, 10):
                read = partial(inbox_pages.list_inbox, viewer=OPERATOR, limit=limit, principal=dana)
                counts.add(statements(stored, partial(stored.look, read)))
    assert len(counts) == 1
