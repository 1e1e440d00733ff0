"""The log of decisions in pages: the latest first, narrowed, tenant by tenant, at flat cost."""

import pytest
from sqlmodel import Session

from kern.contracts.reports import DecisionPage
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.reading.decision_pages import DecisionFilter, list_decisions
from kern.errors import NotFound
from kern.requirements import Principal
from kern.values.ids import new_id
from kern.values.states import Verdict
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import Stored, after, question


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{new_id()}"


def decided(
    stored: Stored,
    tenant: str,
    by: str | Principal,
    at: float,
    verdict: Verdict = Verdict.approve,
) -> str:
    """Decide about a call of a new run, some seconds on; return the requirement's id."""
    call_id = stored.call(question(), tenant=tenant, user_id="ann")
    requirement = stored.requirement(call_id)
    stored.resolve(requirement, verdict, by, after(at), Viewer(is_operator=True, tenant=tenant))
    return requirement.id


def page(
    stored: Stored,
    tenant: str | None,
    limit: int = 100,
    before: str | None = None,
    only: DecisionFilter | None = None,
) -> DecisionPage:
    viewer = Viewer(is_operator=True, tenant=tenant)

    def read(tx: Session) -> DecisionPage:
        only_these = only or DecisionFilter()
        return list_decisions(tx, viewer, limit=limit, before=before, only=only_these)

    return stored.look(read)


def about(found: DecisionPage) -> list[str]:
    return [decision.requirement_id for decision in found.decisions]


def test_the_latest_come_first_and_pages_neither_repeat_nor_miss(
    stored: Stored, tenant: str
) -> None:
    # Several at the same moment: the id orders them.
    ids = [decided(stored, tenant, "dana", at) for at in (1, 2, 2, 2, 3)]
    whole = about(page(stored, tenant))
    assert (whole[0], whole[-1]) == (ids[4], ids[0])
    assert sorted(whole) == sorted(ids)
    found: list[str] = []
    cursor: str | None = None
    while True:
        part = page(stored, tenant, 2, cursor)
        found += about(part)
        cursor = part.next_cursor
        if cursor is None:
            break
    assert found == whole


def test_a_page_is_narrowed_to_a_person_a_verdict_a_tool_and_a_time(
    stored: Stored, tenant: str
) -> None:
    ravi = Principal(issuer="https://sso", subject="R-17", name="Ravi", tenant=tenant)
    typed = decided(stored, tenant, "Dana", 1)
    authenticated = decided(stored, tenant, ravi, 2, Verdict.reject)
    assert about(page(stored, tenant, only=DecisionFilter(by="DANA"))) == [typed]
    assert about(page(stored, tenant, only=DecisionFilter(by="R-17"))) == [authenticated]
    assert about(page(stored, tenant, only=DecisionFilter(by="nobody"))) == []
    rejected = DecisionFilter(verdict=Verdict.reject)
    assert about(page(stored, tenant, only=rejected)) == [authenticated]
    assert len(about(page(stored, tenant, only=DecisionFilter(tool="refund")))) == 2
    assert about(page(stored, tenant, only=DecisionFilter(tool="other"))) == []
    assert about(page(stored, tenant, only=DecisionFilter(since=after(2)))) == [authenticated]
    assert about(page(stored, tenant, only=DecisionFilter(until=after(2)))) == [typed]


def test_another_tenants_decisions_are_not_there(stored: Stored, tenant: str) -> None:
    decided(stored, tenant, "dana", 1)
    (decision,) = page(stored, tenant).decisions
    other = f"{tenant}-other"
    assert page(stored, other).decisions == []
    with pytest.raises(NotFound):
        page(stored, other, before=decision.id)
    with pytest.raises(NotFound):
        page(stored, tenant, before="nothing")
    everything = stored.look(
        lambda tx: list_decisions(tx, OPERATOR, limit=1000, before=None, only=DecisionFilter())
    )
    assert decision.id in {item.id for item in everything.decisions}


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("tenant = 'x'", "kern_decisions_of_tenant"),
        ("tenant = 'x' AND subject = 'dana'", "kern_decisions_of_subject"),
        ("tenant = 'x' AND tool_name = 'refund'", "kern_decisions_of_tool"),
        ("tenant = 'x' AND verdict = 'approve'", "kern_decisions_of_verdict"),
        ("at > '2026-01-01'", "kern_decisions_by_time"),
    ],
)
def test_a_page_is_a_range_of_an_index(stored: Stored, condition: str, index: str) -> None:
    is_postgres = stored.database.engine.dialect.name == "postgresql"

    def plan(tx: Session) -> str:
        if is_postgres:
            # With so few rows, Postgres would read the table.
            execute_sql(tx, "SET LOCAL enable_seqscan = off")
            execute_sql(tx, "SET LOCAL enable_sort = off")
        verb = "EXPLAIN" if is_postgres else "EXPLAIN QUERY PLAN"
        statement = (
            f"{verb} SELECT id FROM kern_decisions WHERE {condition} "  # noqa: S608  a test's own
            "ORDER BY at DESC, id DESC LIMIT 26"
        )
        return "\n".join(str(tuple(row)) for row in execute_sql(tx, statement))

    found = stored.look(plan)
    assert index in found
    assert "TEMP B-TREE" not in found
