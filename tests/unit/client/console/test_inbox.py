"""The inbox: what is due comes first, look-alikes stand together, and danger takes a page."""

from datetime import timedelta

from kern.client.console.facts import Facts
from kern.client.console.groups import Group
from kern.client.console.inbox import Checks, Entry, InboxView, Row, capped, inbox_view, row_of
from kern.requirements import RequirementStatus, Resolution, Verdict
from tests.support.console_samples import (
    NOW,
    dangerous,
    inbox_entries,
    inbox_sample,
    kinds,
    requirement,
)

CHECKS = Checks(open=25, at=NOW)


def view_of(*entries: Entry) -> InboxView:
    return inbox_view(entries, NOW, CHECKS)


def rows_of(view: InboxView) -> list[Row]:
    blocks = [block for section in view.sections for block in section.blocks]
    return [row for block in blocks if not isinstance(block, Group) for row in block]


def test_what_is_due_today_comes_first() -> None:
    later = Entry(requirement(id="later", due_at=NOW + timedelta(days=2)))
    today = Entry(requirement(id="today", due_at=NOW + timedelta(minutes=59)))
    view = view_of(later, today)
    assert [(section.title, section.count) for section in view.sections] == [
        ("Due today", 1),
        ("No deadline today", 1),
    ]
    assert [(row.id, row.is_due_soon) for row in rows_of(view)] == [
        ("today", True),
        ("later", False),
    ]
    assert view.next_due == NOW + timedelta(minutes=59)


def test_a_dangerous_call_says_why_it_is_opened() -> None:
    item, facts = dangerous()
    row = row_of(Entry(item, facts), NOW)
    assert row.tags == [("High risk", "high"), ("1 of 2 approved", "")]
    assert "Sam Okafor changed amount 14250 \u2192 12500" in row.meta
    assert "this session already executed refund" in row.meta
    assert not row.can_approve


def test_a_row_decides_about_the_version_under_review() -> None:
    item, facts = dangerous()
    row = row_of(Entry(item, facts), NOW)
    assert row.digest == facts.current_digest
    assert row.call is not None
    assert "amount=12500" in row.call


def entry(number: int, **facts: object) -> Entry:
    item = requirement(
        id=f"r{number}", arguments={"customer": f"c{number}", "amount": number, "currency": "EUR"}
    )
    values: dict[str, object] = {"shape": "s", "amount": str(number), "unit": "EUR"}
    return Entry(item, Facts(**(values | facts)))  # type: ignore[arg-type]


def test_look_alikes_stand_together_where_the_first_of_them_stands() -> None:
    (section,) = view_of(entry(1), Entry(requirement(id="x")), entry(2), entry(3)).sections
    group, rows = section.blocks
    assert isinstance(group, Group)
    assert [row.id for row in group.rows] == ["r1", "r2", "r3"]
    assert not isinstance(rows, Group)
    assert [row.id for row in rows] == ["x"]
    assert section.count == 4


def test_what_is_dangerous_or_decided_is_in_no_group() -> None:
    closed = Entry(requirement(id="r9"), Facts(shape="s"), closed="Ravi decided it.")
    forbidden = Entry(requirement(id="r8"), Facts(shape="s"), may_decide=False)
    view = view_of(entry(1), entry(2, risk="high"), closed, forbidden)
    assert [row.id for row in rows_of(view)] == ["r1", "r2", "r9", "r8"]


def test_a_group_has_at_most_25() -> None:
    (section,) = view_of(*[entry(number) for number in range(1, 29)]).sections
    groups = [block for block in section.blocks if isinstance(block, Group)]
    assert [group.count for group in groups] == [25]
    assert section.count == 28


def test_a_decision_that_is_closed_says_by_whom() -> None:
    resolution = Resolution(verdict=Verdict.approve, by="Ravi Pillai", at=NOW)
    item = requirement(status=RequirementStatus.resolved, resolution=resolution)
    row = row_of(Entry(item), NOW)
    assert row.closed == "Approved by Ravi Pillai at 14:20:12 UTC."
    assert not row.can_approve


def test_every_kind_has_a_row() -> None:
    rows = [row_of(Entry(view.requirement), NOW) for view in kinds().values()]
    assert [bool(row.call) for row in rows] == [True, False, False, True, False, False, True]
    assert "pick one of 2" in rows[2].meta


def test_the_agents_first_sentence_is_quoted() -> None:
    quoted = Entry(requirement(), quote="The photo shows a cracked lid. I would pay.")
    assert row_of(quoted, NOW).quote == "The photo shows a cracked lid."
    assert row_of(Entry(requirement(), quote="  "), NOW).quote is None
    long = row_of(Entry(requirement(), quote="x" * 300), NOW).quote
    assert long is not None
    assert len(long) == 143


def test_an_empty_inbox_says_what_it_looked_at() -> None:
    page = inbox_sample(empty=True)
    assert "Nothing is waiting for you" in page
    assert "Checked all 25 open decisions in halden at" in page
    assert "Dana Whitfield or finance-leads or support-leads" in page
    assert "3 snoozed, next one at" in page


def test_a_page_offers_to_approve_only_what_may_be() -> None:
    page = inbox_sample()
    assert page.count('name="verdict" value="approve" data-key="a"') == 2
    assert page.count('name="item"') == 3
    assert len(inbox_entries()) == 13


def test_counts_are_capped() -> None:
    assert [capped(999), capped(1000), capped(1001)] == ["999", "1,000", "1,000+"]
