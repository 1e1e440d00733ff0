"""The database contract: the chain of decisions, on every database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session, col, select

from kern.db.decisions.deciding import Accepted
from kern.db.engine.tables import ChainHeadRow, DecisionRow
from kern.db.journal import audit_chain
from kern.db.journal.audit_chain import ChainReport
from kern.errors import AuditBroken
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import NAMES, Stored, after, at_once, opened


@pytest.fixture(params=NAMES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(request.param, tmp_path) as database:
        yield database


@pytest.fixture(params=NAMES, scope="module")
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stored]:
    with opened(request.param, tmp_path_factory.mktemp("db")) as database:
        for number in range(3):
            database.resolve(database.gated(), edit={"amount": number}, at=after(number))
        yield database


def decided(stored: Stored, count: int) -> list[ChainReport]:
    """Write decisions of every shape; return the chain as it stood after each."""
    reports: list[ChainReport] = []
    for number in range(count):
        seen = stored.gated()
        edit = {"amount": number} if number % 2 else None
        stored.resolve(seen, by=f"p{number}", note=None if number % 3 else "ä\n", edit=edit)
        reports.append(verified(stored))
    return reports


def verified(stored: Stored, head: str | None = None) -> ChainReport:
    return stored.look(lambda tx: audit_chain.verify(tx, head))


def test_a_chain_that_nobody_touched_verifies(fresh: Stored) -> None:
    assert verified(fresh) == ChainReport(0, "0" * 64)
    reports = decided(fresh, 4)
    assert [report.decisions for report in reports] == [1, 2, 3, 4]
    for report in [ChainReport(0, "0" * 64), *reports]:
        assert verified(fresh, report.head) == reports[-1]


def test_a_noted_head_that_is_not_in_the_chain_is_found(fresh: Stored) -> None:
    decided(fresh, 1)
    with pytest.raises(AuditBroken, match="not part of the log"):
        verified(fresh, "f" * 64)


COLUMNS = ("id", "run_id", "kind", "verdict", "actor", "note", "tool_name", "digest", "hash")
SECOND = "UPDATE kern_decisions SET {} WHERE seq = 2"


@pytest.mark.parametrize(
    "changes",
    [
        *([SECOND.format(f"{column} = 'x'")] for column in COLUMNS),
        [SECOND.format("previous_hash = 'x'")],
        [SECOND.format("edit = NULL")],
        [SECOND.format("given = '1'")],
        [SECOND.format("position = 7")],
        [SECOND.format("at = '2026-01-01 00:00:00'")],
        ["DELETE FROM kern_decisions WHERE seq = 1"],
        ["DELETE FROM kern_decisions WHERE seq = 2"],
        ["DELETE FROM kern_decisions WHERE seq = 3"],
        ["DELETE FROM kern_decisions"],
        ["UPDATE kern_chain_heads SET seq = 2"],
        ["UPDATE kern_chain_heads SET hash = 'x'"],
        [
            "UPDATE kern_decisions SET seq = 9 WHERE seq = 1",
            "UPDATE kern_decisions SET seq = 1 WHERE seq = 2",
            "UPDATE kern_decisions SET seq = 2 WHERE seq = 9",
        ],
    ],
)
def test_each_kind_of_tampering_is_found(chain: Stored, changes: list[str]) -> None:
    def tamper(tx: Session) -> None:
        for change in changes:
            execute_sql(tx, change)
        audit_chain.verify(tx)

    with pytest.raises(AuditBroken):
        chain.do(tamper)
    assert verified(chain).decisions == 3, "what was tampered with was rolled back"


def test_a_decision_added_behind_the_last_is_found(chain: Stored) -> None:
    def add(tx: Session) -> None:
        last = tx.exec(select(DecisionRow).where(DecisionRow.seq == 3)).one()
        added = DecisionRow.model_validate(last.model_dump())
        added.seq, added.id, added.position, added.previous_hash = 4, "added", 2, last.hash
        added.hash = audit_chain.hash_of(added)
        tx.add(added)
        tx.flush()
        audit_chain.verify(tx)

    with pytest.raises(AuditBroken, match="added by hand"):
        chain.do(add)


def test_an_end_that_does_not_follow_from_what_was_before_is_found(chain: Stored) -> None:
    def unhinge(tx: Session) -> None:
        last = tx.exec(select(DecisionRow).where(DecisionRow.seq == 3)).one()
        last.previous_hash = "0" * 64
        last.hash = tx.exec(select(ChainHeadRow)).one().hash = audit_chain.hash_of(last)
        tx.flush()
        audit_chain.verify(tx)

    with pytest.raises(AuditBroken, match="does not follow from the decision before"):
        chain.do(unhinge)


def test_a_chain_rewritten_from_its_start_is_found_by_a_head_noted_elsewhere(
    chain: Stored,
) -> None:
    noted = verified(chain).head

    def rewrite(tx: Session) -> None:
        previous = "0" * 64
        for row in tx.exec(select(DecisionRow).order_by(col(DecisionRow.seq))):
            row.actor, row.previous_hash = "eve", previous
            row.hash = previous = audit_chain.hash_of(row)
        tx.exec(select(ChainHeadRow)).one().hash = previous
        tx.flush()
        audit_chain.verify(tx)
        audit_chain.verify(tx, noted)

    with pytest.raises(AuditBroken, match="rewritten since"):
        chain.do(rewrite)


def test_decisions_made_at_once_stand_in_one_chain(fresh: Stored) -> None:
    seen = [fresh.gated() for _ in range(8)]
    found = at_once([lambda one=one: fresh.resolve(one) for one in seen])  # type: ignore[misc]
    assert all(isinstance(one, Accepted) for one in found), found
    assert verified(fresh).decisions == 8
