"""The database contract: claims, delegations, snoozes and comments, and the history of them."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import Session

from kern.contracts.reports import InboxCounts
from kern.contracts.triage import Comment, HistoryKind
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding, triage
from kern.db.decisions.locking import lock_requirement
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun
from kern.db.reading import (
    closed_pages,
    inbox_pages,
    listings,
    requirement_history,
    requirement_outputs,
    run_outputs,
)
from kern.db.reading.inbox_filters import InboxFilter
from kern.db.runs import lifecycle
from kern.db.sessions import deletions
from kern.errors import AlreadyResolved, Claimed, InvalidInput, NotAllowed
from kern.requirements import Principal, PrincipalKind, Requirement
from kern.tools import Approval, Requester
from kern.values.ids import new_id
from kern.values.names import name_key
from kern.values.states import RequirementKind, RequirementStatus, Verdict
from kern.workflow import HumanReview, Parallel, Step
from tests.support.lanes import Lanes
from tests.support.pipelines import pipeline
from tests.support.raw_sql import execute_sql
from tests.support.statements import statements
from tests.support.stored_runs import NAMES, NOW, Stored, after, opened

HOUR = timedelta(hours=1)
Act = Callable[[Session, MutableRun, MutableRequirement], object]


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


def person(name: str, *groups: str) -> Principal:
    return Principal(issuer="https://id", subject=f"id-{name}", name=name, groups=groups)


DANA, RAVI, ELI, FAY = (person(name) for name in ("dana", "ravi", "eli", "fay"))


def act(stored: Stored, seen: Requirement, change: Act) -> None:
    """Do something about a requirement, in a transaction of its own."""

    def transaction(tx: Session) -> None:
        run, row = lock_requirement(tx, seen.id, OPERATOR)
        change(tx, run, row)

    stored.do(transaction)


def claim(
    stored: Stored, seen: Requirement, by: Principal, *, at: float = 0, minutes: int = 30
) -> None:
    until = after(at) + timedelta(minutes=minutes)
    act(
        stored,
        seen,
        lambda tx, run, row: triage.claim(tx, run, row, by, until=until, now=after(at)),
    )


def delegate(
    stored: Stored,
    seen: Requirement,
    by: Principal,
    to: str,
    *,
    at: float = 0,
    note: Comment | None = None,
) -> None:
    act(
        stored,
        seen,
        lambda tx, run, row: triage.delegate(tx, run, row, by, to=to, note=note, now=after(at)),
    )


def snooze(stored: Stored, seen: Requirement, by: Principal, until: datetime) -> None:
    act(
        stored,
        seen,
        lambda tx, run, row: triage.snooze(tx, run, row, by, until=until, now=NOW),
    )


def comment(
    stored: Stored, seen: Requirement, by: Principal, text: str, *, id: str = "", at: float = 5
) -> None:
    new = Comment(id=id or new_id(), requirement_id=seen.id, by=by, text=text, at=after(at))
    act(stored, seen, lambda tx, run, row: triage.comment(tx, run, row, new))


def mine(
    stored: Stored, principal: Principal | None, only: InboxFilter | None = None, at: float = 0
) -> list[str]:
    page = stored.look(
        lambda tx: inbox_pages.list_inbox(
            tx, OPERATOR, limit=100, principal=principal, only=only, now=after(at)
        )
    )
    return [item.id for item in page.requirements]


def kinds(stored: Stored, seen: Requirement) -> list[str]:
    def read(tx: Session) -> list[str]:
        decisions = listings.decisions_about(tx, seen.id)
        return [
            entry.kind.value for entry in requirement_history.history_of(tx, [seen.id], decisions)
        ]

    return stored.look(read)


def holder(stored: Stored, seen: Requirement, at: float = 0) -> str | None:
    def read(tx: Session) -> str | None:
        row = run_outputs.find_requirement(tx, seen.id, OPERATOR)
        present = requirement_outputs.claim_of(row, after(at))
        return None if present is None else present.by

    return stored.look(read)


def test_a_claim_says_who_takes_care_and_is_over_by_itself(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates=("dana", "ravi")))
    claim(stored, seen, DANA)
    claim(stored, seen, DANA)
    assert holder(stored, seen) == "dana"
    with pytest.raises(Claimed, match=r"'dana' takes care of .* until 2026-05-04 03:32:01"):
        claim(stored, seen, RAVI)
    assert mine(stored, RAVI) == [seen.id]
    assert holder(stored, seen, at=1_801) is None
    claim(stored, seen, RAVI, at=1_801)
    assert holder(stored, seen, at=1_802) == "ravi"
    assert kinds(stored, seen) == ["opened", "claimed", "claimed"]


def test_a_claim_is_extended_and_given_back_by_who_has_it(stored: Stored) -> None:
    seen = stored.gated()
    claim(stored, seen, DANA)
    claim(stored, seen, DANA, at=60)
    assert holder(stored, seen, at=1_801) == "dana"
    give_back = partial(triage.give_back, principal=RAVI, now=NOW)
    with pytest.raises(Claimed):
        act(stored, seen, give_back)
    give_back = partial(triage.give_back, principal=DANA, now=after(90))
    for _ in range(2):
        act(stored, seen, give_back)
    assert holder(stored, seen) is None
    assert kinds(stored, seen) == ["opened", "claimed", "released"]


def test_a_claim_keeps_nobody_from_deciding_and_ends_with_the_decision(stored: Stored) -> None:
    seen = stored.gated()
    claim(stored, seen, DANA)
    stored.resolve(seen, by=RAVI)
    assert holder(stored, seen) is None
    with pytest.raises(AlreadyResolved, match="'ravi' decided"):
        claim(stored, seen, DANA)


def test_a_cancelled_run_has_no_claims(stored: Stored) -> None:
    seen = stored.gated()
    claim(stored, seen, DANA)
    stored.do(lambda tx: lifecycle.cancel(tx, seen.run_id, OPERATOR, after(1)))
    assert holder(stored, seen) is None
    with pytest.raises(AlreadyResolved, match="is cancelled"):
        delegate(stored, seen, DANA, "ravi")


def test_a_step_that_is_stopped_has_no_claims(stored: Stored) -> None:
    asked = Step("asked", str, human_review=HumanReview(requires_confirmation=True))
    flow = pipeline(Parallel(asked, Step("bad", str)))
    lanes = Lanes(stored, flow, failing="bad")
    begun = lanes.finish(lanes.begin())
    (seen,) = stored.output(lanes.run_id).active_requirements
    claim(stored, seen, DANA)
    assert holder(stored, seen) == "dana"
    (lane,) = (work.lane for work in begun.work if work.gate is None)
    lanes.finish(lanes.serve(lane))
    (stopped,) = stored.output(lanes.run_id).requirements
    assert stopped.status is RequirementStatus.cancelled
    assert holder(stored, seen) is None


@pytest.mark.parametrize(
    ("approval", "principal"),
    [
        (Approval(candidates="ravi"), DANA),
        (Approval(excluded="dana"), DANA),
        (Approval(excluded=Requester), person("ann")),
        (Approval(), DANA.model_copy(update={"kind": PrincipalKind.agent})),
        (Approval(), DANA.model_copy(update={"kind": PrincipalKind.service})),
    ],
)
def test_who_may_not_decide_claims_and_delegates_nothing(
    stored: Stored, approval: Approval, principal: Principal
) -> None:
    seen = stored.gated(approval=approval)
    with pytest.raises(NotAllowed):
        claim(stored, seen, principal)
    with pytest.raises(NotAllowed):
        delegate(stored, seen, principal, "eli")
    assert kinds(stored, seen) == ["opened"]


def test_a_decision_that_was_handed_on_waits_for_another_who_may_decide(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates="dana"))
    note = Comment(id="n", requirement_id=seen.id, by=DANA, text="You know them.", at=NOW)
    assert mine(stored, ELI) == []
    claim(stored, seen, DANA)
    for _ in range(2):
        delegate(stored, seen, DANA, "eli", note=note)
    assert mine(stored, ELI) == [seen.id]
    assert mine(stored, DANA) == []
    assert holder(stored, seen) is None
    assert kinds(stored, seen).count("delegated") == 1
    with pytest.raises(NotAllowed, match="candidates are dana, eli"):
        stored.resolve(seen, by=FAY)
    stored.resolve(seen, by=ELI)
    assert mine(stored, ELI) == []


def test_whoever_handed_it_on_may_still_decide_and_gets_it_back(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates="dana"))
    delegate(stored, seen, DANA, "eli")
    delegate(stored, seen, ELI, "dana")
    assert mine(stored, DANA) == [seen.id]
    assert mine(stored, ELI) == []
    delegate(stored, seen, DANA, "group:ops")
    assert mine(stored, person("gil", "Ops")) == [seen.id]
    assert stored.resolve(seen, by=DANA).requirement.status is RequirementStatus.resolved


def test_whom_the_rule_excludes_a_delegation_lets_decide_nothing(stored: Stored) -> None:
    rule = Approval(candidates="dana", excluded=(Requester, "mia", "group:interns"))
    seen = stored.gated(approval=rule)
    for name in ("mia", "Ann", "group:Interns"):
        with pytest.raises(NotAllowed, match="is excluded"):
            delegate(stored, seen, DANA, name)
    # Nobody knows who is in a group until they decide.
    delegate(stored, seen, DANA, "group:all")
    for excluded in (person("mia", "all"), person("ann", "all"), person("pat", "all", "interns")):
        assert mine(stored, excluded) == []
        with pytest.raises(NotAllowed, match="is excluded"):
            stored.resolve(seen, by=excluded)
    assert mine(stored, person("pat", "all")) == [seen.id]


@pytest.mark.parametrize("to", ["dana", "id-dana", "@requester", "", "\u200b", "kern", "d\u0430na"])
def test_a_decision_is_handed_to_somebody_else_with_a_name(stored: Stored, to: str) -> None:
    seen = stored.gated(approval=Approval(candidates="dana"))
    with pytest.raises((InvalidInput, NotAllowed)):
        delegate(stored, seen, DANA, to)
    assert kinds(stored, seen) == ["opened"]


def test_a_delegation_adds_no_voice_to_a_quorum(stored: Stored) -> None:
    rule = Approval(candidates=("dana", "ravi"), quorum=2)
    seen = stored.gated(approval=rule)
    delegate(stored, seen, DANA, "eli")
    delegate(stored, seen, ELI, "fay")
    assert stored.resolve(seen, by=DANA).requirement.status is RequirementStatus.pending
    for colleague in (ELI, FAY):
        with pytest.raises(NotAllowed, match="whoever hands a decision on still has one voice"):
            stored.resolve(seen, by=colleague)
    assert stored.resolve(seen, by=RAVI).requirement.status is RequirementStatus.resolved


def test_each_colleague_of_a_group_speaks_for_who_handed_it_on(stored: Stored) -> None:
    rule = Approval(candidates=("dana", "ravi"), quorum=2)
    seen = stored.gated(approval=rule)
    delegate(stored, seen, DANA, "group:ops")
    gil, hal = person("gil", "ops"), person("hal", "ops")
    stored.resolve(seen, by=gil)
    for other in (hal, DANA):
        with pytest.raises(NotAllowed, match="'gil' decided already"):
            stored.resolve(seen, by=other)
    stored.resolve(seen, Verdict.withdraw, by=gil)
    stored.resolve(seen, by=hal)
    # Both may speak for either of those who handed it on.
    delegate(stored, seen, RAVI, "group:ops")
    assert stored.resolve(seen, by=gil).requirement.status is RequirementStatus.resolved


def test_a_colleague_of_both_leaves_each_their_voice(stored: Stored) -> None:
    rule = Approval(candidates=("dana", "ravi"), quorum=2)
    seen = stored.gated(approval=rule)
    delegate(stored, seen, DANA, "eli")
    delegate(stored, seen, RAVI, "eli")
    stored.resolve(seen, by=ELI)
    assert stored.resolve(seen, by=DANA).requirement.status is RequirementStatus.resolved


def test_whoever_took_it_over_may_always_reject(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates=("dana", "ravi"), quorum=2))
    delegate(stored, seen, DANA, "eli")
    stored.resolve(seen, by=DANA)
    assert stored.resolve(seen, Verdict.reject, by=ELI).requirement.status.value == "resolved"


def test_where_anybody_may_decide_a_delegation_asks_somebody(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    delegate(stored, seen, DANA, "eli")
    assert mine(stored, ELI) == mine(stored, FAY) == [seen.id]
    stored.resolve(seen, by=DANA)
    assert stored.resolve(seen, by=ELI).requirement.status is RequirementStatus.resolved


def test_a_decision_is_handed_on_so_often_and_no_more(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates="dana"))
    for number in range(triage.MOST_DELEGATIONS):
        delegate(stored, seen, DANA, f"colleague {number}")
    with pytest.raises(InvalidInput, match="as often as it may"):
        delegate(stored, seen, DANA, "eli")
    delegate(stored, seen, DANA, "colleague 0")


def test_what_somebody_puts_off_is_hidden_from_them_alone_until_then(stored: Stored) -> None:
    seen = stored.gated()
    for _ in range(2):
        snooze(stored, seen, DANA, after(600))
    assert mine(stored, DANA) == []
    assert mine(stored, DANA, InboxFilter(snoozed_by=DANA)) == [seen.id]
    assert mine(stored, RAVI) == [seen.id]
    # Another one of the same name is another one.
    namesake = DANA.model_copy(update={"subject": "other"})
    assert mine(stored, namesake) == [seen.id]
    assert mine(stored, None) == [seen.id]
    assert mine(stored, DANA, at=601) == [seen.id]
    assert mine(stored, DANA, InboxFilter(snoozed_by=DANA), at=601) == []
    assert kinds(stored, seen) == ["opened", "snoozed"]


def test_what_was_put_off_is_back_when_it_is_wanted(stored: Stored) -> None:
    seen = stored.gated()
    snooze(stored, seen, DANA, after(600))
    for _ in range(2):
        act(stored, seen, partial(triage.wake, principal=DANA, now=after(1)))
    assert mine(stored, DANA) == [seen.id]
    assert kinds(stored, seen) == ["opened", "snoozed", "woken"]


def test_what_is_due_is_back_an_hour_before(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(due=3 * HOUR))
    snooze(stored, seen, DANA, NOW + 24 * HOUR)
    assert mine(stored, DANA, at=7_199) == []
    assert mine(stored, DANA, at=7_201) == [seen.id]
    soon = stored.gated(approval=Approval(due=HOUR))
    with pytest.raises(InvalidInput, match="within the hour"):
        snooze(stored, soon, DANA, NOW + HOUR / 2)


def test_only_people_put_things_off(stored: Stored) -> None:
    seen = stored.gated()
    with pytest.raises(NotAllowed):
        snooze(stored, seen, DANA.model_copy(update={"kind": PrincipalKind.service}), after(600))
    stored.resolve(seen)
    with pytest.raises(AlreadyResolved):
        snooze(stored, seen, DANA, after(600))


def test_comments_are_kept_once_and_after_the_end(stored: Stored) -> None:
    seen = stored.gated()
    for _ in range(2):
        comment(stored, seen, DANA, "Asked the warehouse.", id="c1")
    stored.resolve(seen)
    service = DANA.model_copy(update={"kind": PrincipalKind.service})
    comment(stored, seen, service, "TICKET-7", at=6)
    with pytest.raises(NotAllowed):
        comment(stored, seen, DANA.model_copy(update={"kind": PrincipalKind.agent}), "Approve it.")
    page = stored.look(lambda tx: requirement_history.comments_of(tx, seen.id, limit=1))
    assert [item.text for item in page.comments] == ["Asked the warehouse."]
    assert page.next_cursor is not None


def test_the_history_says_who_did_what_when_and_in_which_words(stored: Stored) -> None:
    rule = Approval(candidates="dana", remind=HOUR, due=3 * HOUR)
    seen = stored.gated(approval=rule)
    claim(stored, seen, DANA, at=1)
    note = Comment(id="n", requirement_id=seen.id, by=DANA, text="You know them.", at=after(2))
    delegate(stored, seen, DANA, "eli", at=2, note=note)
    comment(stored, seen, ELI, "Looking.")
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(3_601)))
    stored.resolve(seen, Verdict.reject, by=ELI, at=after(3_700), note="A fraud.")

    def read(tx: Session) -> list[tuple[str, str | None, str]]:
        entries = requirement_history.history_of(
            tx, [seen.id], listings.decisions_about(tx, seen.id)
        )
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        assert entries[2].to == ("eli",)
        assert entries[1].until == after(1) + HOUR / 2
        assert entries[-1].verdict is Verdict.reject
        return [(entry.kind.value, entry.by, entry.text) for entry in entries]

    assert stored.look(read) == [
        ("opened", None, ""),
        ("claimed", "dana", ""),
        ("delegated", "dana", "You know them."),
        ("commented", "eli", "Looking."),
        ("reminded", None, ""),
        ("decided", "eli", "A fraud."),
    ]


def test_a_deadline_stands_in_the_history_once(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(due=HOUR))
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(3_601)))
    assert kinds(stored, seen) == ["opened", "expired"]


def test_what_was_written_goes_with_the_session(stored: Stored) -> None:
    seen = stored.gated()
    comment(stored, seen, DANA, "Personal.")
    snooze(stored, seen, DANA, after(600))
    stored.do(lambda tx: lifecycle.cancel(tx, seen.run_id, OPERATOR, after(1)))
    stored.do(lambda tx: deletions.delete(tx, seen.session_id, OPERATOR, after(2)))
    for table in ("kern_comments", "kern_snoozes"):
        count = f"SELECT COUNT(*) FROM {table}"  # noqa: S608  two tables of Kern's
        assert stored.look(lambda tx: execute_sql(tx, count).scalar()) == 0  # noqa: B023  at once


def test_counts_say_what_is_claimed_put_off_and_unknown(stored: Stored) -> None:
    items = [stored.gated() for _ in range(3)]
    stored.doubtful()
    claim(stored, items[0], DANA)
    snooze(stored, items[1], DANA, after(600))
    read = partial(inbox_pages.count_inbox, viewer=OPERATOR, principal=DANA, now=NOW)
    expected = InboxCounts(for_me=3, all=4, claimed=1, snoozed=1, unknown=1)
    assert stored.look(read) == expected
    for_me = partial(inbox_pages.count_for_me, viewer=OPERATOR, principal=DANA, now=NOW)
    assert stored.look(for_me) == expected.for_me
    count = statements(stored, partial(stored.look, read))
    stored.gated()
    assert statements(stored, partial(stored.look, read)) == count


def test_lists_are_narrowed_to_who_claimed_and_to_groups(stored: Stored) -> None:
    mine_, theirs = stored.gated(), stored.gated()
    finance = stored.gated(approval=Approval(candidates="group:Finance", excluded="group:interns"))
    claim(stored, mine_, DANA)
    claim(stored, theirs, RAVI)
    assert mine(stored, None, InboxFilter(claimed_keys=(name_key("DANA"),))) == [mine_.id]
    assert mine(stored, None, InboxFilter(claimed_keys=("dana",)), at=1_801) == []
    assert mine(stored, None, InboxFilter(group_key=name_key("finance"))) == [finance.id]
    assert mine(stored, None, InboxFilter(group_key=name_key("interns"))) == []
    assert mine(stored, DANA, InboxFilter(group_key=name_key("finance"))) == []
    member = person("dana", "finance")
    assert mine(stored, member, InboxFilter(group_key=name_key("finance"))) == [finance.id]
    late = InboxFilter(created_after=NOW + HOUR)
    assert mine(stored, None, late) == []


@pytest.mark.parametrize("words", ["refund", "REFUND", "1042", "ann", "80.0", '"order_id":'])
def test_a_search_finds_the_tool_the_arguments_and_the_user(stored: Stored, words: str) -> None:
    seen = stored.gated()
    assert mine(stored, None, InboxFilter(words=words)) == [seen.id]
    assert mine(stored, DANA, InboxFilter(words=words)) == [seen.id]
    assert mine(stored, None, InboxFilter(words=seen.id[-8:])) == [seen.id]


@pytest.mark.parametrize("words", ["nothing", "%", "_efund", "1043"])
def test_a_search_takes_no_patterns(stored: Stored, words: str) -> None:
    stored.gated()
    assert mine(stored, None, InboxFilter(words=words)) == []


def test_a_page_of_a_search_looks_at_so_many_and_the_next_goes_on(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_pages, "MOST_SEARCHED", 3)
    items = [stored.gated() for _ in range(7)]
    wanted = InboxFilter(words=items[5].id)
    for principal in (None, DANA):
        cursor: str | None = None
        pages: list[list[str]] = []
        while True:
            page = stored.look(
                partial(
                    inbox_pages.list_inbox,
                    viewer=OPERATOR,
                    limit=2,
                    principal=principal,
                    only=wanted,
                    after=cursor,
                    now=NOW,
                )
            )
            pages.append([item.id for item in page.requirements])
            cursor = page.next_cursor
            if cursor is None:
                break
        assert pages == [[], [items[5].id], []]


def test_what_was_closed_is_listed_the_latest_first(stored: Stored) -> None:
    first, second, third, pending = (stored.gated() for _ in range(4))
    stored.resolve(second, at=after(1))
    stored.do(lambda tx: lifecycle.cancel(tx, first.run_id, OPERATOR, after(2)))
    stored.resolve(third, Verdict.reject, at=after(3))
    cursor: str | None = None
    ids: list[str] = []
    while True:
        page = stored.look(
            partial(
                closed_pages.list_closed,
                viewer=OPERATOR,
                limit=2,
                cursor=cursor,
                only=InboxFilter(kind=RequirementKind.confirmation),
                now=NOW,
            )
        )
        ids += [item.id for item in page.requirements]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert ids == [third.id, first.id, second.id]
    assert mine(stored, None) == [pending.id]


def test_each_kind_of_event_of_a_requirement_has_its_entry() -> None:
    assert set(requirement_history.EVENT_KINDS.values()) | {
        HistoryKind.decided,
        HistoryKind.withdrawn,
    } == set(HistoryKind)
